"""Sampling: the events to predict after, and reproducible draws."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.data.dataset import NO_NEXT, Labels
from model.features import CENSORED
from model.training.sampling import batches, sample, useful


def test_a_useful_event_has_a_next_item_or_a_known_intent() -> None:
    next_items = np.array([3, NO_NEXT, NO_NEXT, -1], dtype=np.int32)
    intents = np.array([[CENSORED] * 2, [CENSORED, 0], [CENSORED] * 2, [CENSORED] * 2], np.int8)

    assert useful(Labels(next_items, intents)).tolist() == [0, 1, 3]  # -1: an unknown item


@given(st.integers(0, 50), st.integers(1, 20), st.integers(0, 3))
def test_a_sample_is_ordered_and_fixed_by_the_seed(n: int, most: int, seed: int) -> None:
    events = np.arange(n) * 7
    drawn = sample(events, most, seed)

    assert len(drawn) == min(n, most)
    assert drawn.tolist() == sorted(set(drawn.tolist()) & set(events.tolist()))
    assert drawn.tolist() == sample(events, most, seed).tolist()


@given(st.integers(0, 50), st.integers(1, 20))
def test_batches_hold_everything_once(n: int, size: int) -> None:
    parts = list(batches(np.arange(n), size))

    assert [event for part in parts for event in part] == list(range(n))
    assert all(len(part) == size for part in parts[:-1])
