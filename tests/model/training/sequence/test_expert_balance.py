"""The balance: experts are weighted by held-out events, and a trial leaves no trace."""

import math

import numpy as np
import torch

from model.config import ArtifactConfig
from model.data.dataset import NO_NEXT, Histories, Labels
from model.features import CENSORED
from model.networks.transformer import TransformerModel
from model.training.sequence.expert_balance import Balance, balanced, fit_balance, likeliest
from model.training.sequence.validation import validate
from model.training.windows import Batches
from tests.model.conftest import random_network

ITEMS = 40
CONFIG = ArtifactConfig()


def visits(rows: list[list[int]]) -> Batches:
    """Visits of item numbers; every next item is held out."""
    items = np.array([item for row in rows for item in row], dtype=np.int32)
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    times_ms = np.arange(len(items), dtype=np.int64) * 60_000
    histories = Histories(items, np.zeros(len(items), np.int8), times_ms, offsets)
    next_items = np.where(histories.is_last, NO_NEXT, np.roll(items, -1)).astype(np.int32)
    nothing = np.full((len(items), len(CONFIG.intents)), CENSORED, dtype=np.int8)
    return Batches(histories, Labels(next_items, nothing), CONFIG)


def network() -> TransformerModel:
    return random_network(ITEMS, 0)


def there_and_back() -> Batches:
    """Visits a b a b …: copying the item before the last is always right."""
    draw = np.random.default_rng(5)
    return visits([[*map(int, draw.choice(ITEMS, 2, replace=False))] * 4 for _ in range(80)])


def anything() -> Batches:
    draw = np.random.default_rng(6)
    return visits([[*map(int, draw.integers(ITEMS, size=8))] for _ in range(80)])


def test_an_accurate_expert_gains_weight() -> None:
    model = network()

    copy, *rules = likeliest(model, there_and_back(), 0, 1_000).added.mean(0).tolist()

    assert copy > 1 and copy > max(rules) + 1


def test_an_overconfident_network_gets_a_higher_temperature() -> None:
    model = network()
    calm = likeliest(model, anything(), 0, 1_000).temperature
    model.generate.log_temperature.data.add_(math.log(3))
    model.out.bias.data.mul_(3)
    sure = likeliest(model, anything(), 0, 1_000).temperature

    # The next item is random, so generate should not be confident.
    assert sure > 1
    assert sure >= calm


def test_a_temporary_balance_leaves_the_network_unchanged() -> None:
    model = network()
    before = {name: weights.clone() for name, weights in model.state_dict().items()}

    with balanced(model, Balance(torch.ones_like(model.balance), 2.0)):
        assert model.balance.min() == 1
        assert model.out.bias[2:].ne(before["out.bias"][2:]).any()

    for name, weights in model.state_dict().items():
        assert torch.equal(weights, before[name]), name


def test_the_scores_of_generate_are_divided_by_the_temperature() -> None:
    model, state = network(), torch.randn(5, 16)
    with torch.no_grad():
        before = model.generate(state) @ model.item_vectors().T + model.out.bias
        Balance(torch.zeros_like(model.balance), 1.6).put(model)
        after = model.generate(state) @ model.item_vectors().T + model.out.bias

    torch.testing.assert_close(after, before / 1.6)


def test_the_fitted_balance_ranks_no_worse_than_none() -> None:
    model, held_out = network(), there_and_back()
    before = validate(model, held_out, 0).total

    fit_balance(model, held_out, 0)

    assert validate(model, held_out, 0).total >= before


def test_without_held_out_events_the_balance_is_neutral() -> None:
    model = network()

    found = fit_balance(model, visits([[1], [2]]), 0)

    assert found.temperature == 1 and not found.added.any()
