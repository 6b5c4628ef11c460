"""The correction of copy: held-out events say how users return, and it is served for nothing."""

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from model.artifact.copying import STEPS, TIMES
from model.networks.positions import BUCKETS
from model.networks.transformer import TransformerModel
from model.training.results import Validation
from model.training.sequence import copy_correction
from model.training.sequence.copy_correction import CopyCorrection, correct_copy
from model.training.sequence.validation import validate
from tests.model.training.sequence.test_expert_balance import (
    anything,
    network,
    there_and_back,
    visits,
)

WINDOWS = 1_000


def test_held_out_events_say_to_which_place_users_return() -> None:
    found = correct_copy(network(), there_and_back(), 0)

    # In a b a b … the item one step back comes next, and the newest one never does.
    assert found.steps[1] > found.steps[0] + 1


def test_users_who_return_to_nothing_are_not_copied() -> None:
    model = network()
    model.copy.gate.bias.data.fill_(6.0)  # it was sure of copying

    found = correct_copy(model, anything(), 0)

    # An item of the window is as likely as any other of the 40; e⁶ for each place says otherwise.
    assert found.depths.max() <= 0 and found.depths.min() < -0.5
    assert found.steps.max() <= 0


def test_a_match_that_does_not_hold_is_scaled_down() -> None:
    model = network()
    model.copy.query.weight.data.mul_(30)

    # The weights are random, so what states and keys have in common says nothing of what comes.
    assert correct_copy(model, there_and_back(), 0).scale < 0.5


def test_the_network_ranks_no_worse_than_before() -> None:
    model, held_out = network(), there_and_back()
    before = validate(model, held_out, 0).total

    correct_copy(model, held_out, 0)

    assert validate(model, held_out, 0).total >= before


def test_a_correction_changes_the_logits_by_what_was_fitted() -> None:
    model, held_out = network(), there_and_back()
    draw = np.random.default_rng(3)
    weights = draw.normal(size=len(STEPS) + 1 + len(TIMES) + 1 + BUCKETS + 1)
    correction = CopyCorrection.of(weights)
    before = copy_correction._gather(model, held_out, 0, WINDOWS)
    assert before is not None

    correction.put(model)

    after = copy_correction._gather(model, held_out, 0, WINDOWS)
    assert after is not None
    steps, times = before.cells.T
    expected = (
        before.logits
        + (math.exp(weights[-1]) - 1) * before.match
        + correction.steps.numpy()[steps]
        + correction.times.numpy()[times]
        + correction.depths.numpy()[before.depths[before.rows]]
    )
    np.testing.assert_allclose(after.logits, expected, atol=1e-4)
    np.testing.assert_array_equal(after.others, before.others)  # generate and rules stay


def test_a_correction_that_ranks_worse_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    model, held_out = network(), there_and_back()
    before = {name: weights.clone() for name, weights in model.state_dict().items()}
    figures: Iterator[float] = iter([0.5, 0.4])
    monkeypatch.setattr(
        copy_correction, "validate", lambda *_: Validation(0.5, next(figures)), raising=True
    )

    found = correct_copy(model, held_out, 0)

    assert is_neutral(found)
    assert unchanged(model, before)


def test_without_held_out_events_nothing_is_corrected() -> None:
    model = network()
    before = {name: weights.clone() for name, weights in model.state_dict().items()}

    assert is_neutral(correct_copy(model, visits([[1], [2]]), 0))
    assert unchanged(model, before)


def is_neutral(found: CopyCorrection) -> bool:
    return found.scale == 1 and not any(table.any() for table in found[:3])


def unchanged(model: TransformerModel, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(weights, before[name]) for name, weights in model.state_dict().items())
