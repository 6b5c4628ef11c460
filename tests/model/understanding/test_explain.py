"""The explanation: an action's contribution is the difference that leaving it out makes."""

from collections.abc import Sequence as Batch

import numpy as np
import pytest

from model.errors import DataError
from model.outputs import Reals
from model.scorer import Score
from model.sequence import Sequence
from model.understanding.explain import explain, newest, without
from tests.model.conftest import TINY_ITEMS, tiny_catalogue

CATALOGUE = tiny_catalogue()
WEIGHTS = {"click": 0.1, "cart": 0.3}  # what each action adds to the item it is about


class Additive:
    """Probabilities that are sums over the actions, so that each contributes its own weight."""

    catalogue = CATALOGUE
    window = 4

    def probabilities(self, sequences: Batch[Sequence]) -> Reals:
        probabilities_of_items = np.zeros((len(sequences), TINY_ITEMS), dtype=np.float32)
        for row, sequence in zip(probabilities_of_items, sequences, strict=True):
            assert len(sequence.items) <= self.window
            for item, action in zip(sequence.items, sequence.actions, strict=True):
                row[CATALOGUE.index[item]] += WEIGHTS[action]
        return probabilities_of_items

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        return [
            Score([], [], {"buy": 0.2 * len(sequence.items)}, "full" if sequence.items else "cold")
            for sequence in sequences
        ]


def did(*actions: tuple[str, str]) -> Sequence:
    items, actions_done = zip(*actions, strict=True)
    times_ms = tuple(range(100, 100 + len(items)))
    return Sequence(items, actions_done, times_ms, 1_000)


def test_an_action_contributes_the_difference_it_makes() -> None:
    sequence = did(("i1", "cart"), ("i2", "click"), ("i1", "click"))

    found = explain(Additive(), sequence, "i1")

    assert found.probability == pytest.approx(0.3 + 0.1)
    assert (found.rank, found.items) == (1, TINY_ITEMS)
    assert [action.probability for action in found.actions] == pytest.approx([0.3, 0.0, 0.1])
    assert [action.intent["buy"] for action in found.actions] == pytest.approx([0.2] * 3)
    assert [action.ts_ms for action in found.actions] == [100, 101, 102]


def test_an_item_without_actions_has_no_contributions() -> None:
    found = explain(Additive(), did(("i1", "cart"), ("i2", "click")), "i9")

    assert found.probability == 0
    assert found.rank == 3  # after i1 and i2
    assert [action.probability for action in found.actions] == [0, 0]


def test_only_the_window_is_explained() -> None:
    sequence = did(*[("i1", "click")] * 3, ("i2", "cart"), ("i2", "click"))

    found = explain(Additive(), sequence, "i1")

    assert [action.item_id for action in found.actions] == ["i1", "i1", "i2", "i2"]
    # If the first action replaced the one that is left out, it would contribute nothing.
    assert found.actions[0].probability == pytest.approx(0.1)


def test_a_single_action_is_compared_with_the_empty_sequence() -> None:
    found = explain(Additive(), did(("i1", "cart")), "i1")

    assert found.quality == "full"
    assert found.actions[0].probability == pytest.approx(0.3)


def test_leaving_out_an_action_keeps_the_rest_and_the_clock() -> None:
    sequence = did(("a", "click"), ("b", "cart"), ("c", "click"))

    assert without(sequence, 1) == Sequence(("a", "c"), ("click", "click"), (100, 102), 1_000)
    assert newest(sequence, 2) == Sequence(("b", "c"), ("cart", "click"), (101, 102), 1_000)


def test_an_unknown_item_or_an_empty_sequence_is_rejected() -> None:
    with pytest.raises(DataError, match="'gone' is not in the catalogue of 60 items"):
        explain(Additive(), did(("i1", "cart")), "gone")
    with pytest.raises(DataError, match="no actions"):
        explain(Additive(), Sequence((), (), (), 0), "i1")


def test_an_explanation_converts_to_json() -> None:
    found = explain(Additive(), did(("i1", "cart")), "i1").to_json()

    assert (found["item_id"], found["rank"]) == ("i1", 1)
    assert found["actions"][0]["action"] == "cart"
