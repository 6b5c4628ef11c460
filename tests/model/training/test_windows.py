from collections import Counter

import numpy as np
import pytest

from model.config import ArtifactConfig
from model.data.dataset import Histories, Period, label
from model.training.windows import Batches, cut_windows

CONFIG = ArtifactConfig(max_length=4)


def histories(lengths: list[int]) -> Histories:
    total = sum(lengths)
    return Histories(
        np.arange(total, dtype=np.int32),
        np.zeros(total, np.int8),
        np.arange(total, dtype=np.int64) * 1000,
        np.cumsum([0, *lengths]),
    )


def batches(lengths: list[int]) -> Batches:
    whole = histories(lengths)
    return Batches(whole, label(whole, Period(-1, 1 << 60), CONFIG), CONFIG)


def test_a_short_history_is_one_window() -> None:
    windows = cut_windows(np.array([0, 3, 7]), longest=4, stride=2)

    assert list(zip(*windows, strict=True)) == [(0, 3, 0), (3, 4, 0)]


def test_a_long_history_is_cut_into_windows_that_overlap_by_half() -> None:
    windows = cut_windows(np.array([0, 9]), longest=4, stride=2)

    assert list(zip(*windows, strict=True)) == [(0, 4, 0), (2, 4, 2), (4, 4, 2), (6, 3, 2)]


@pytest.mark.parametrize(
    ("longest", "stride"), [(1, 1), (2, 1), (3, 2), (4, 2), (4, 4), (7, 3), (50, 5)]
)
def test_each_event_is_predicted_from_exactly_once(longest: int, stride: int) -> None:
    offsets = np.cumsum([0, *range(1, 20), 200])
    windows = cut_windows(offsets, longest, stride)

    predicted = Counter[int]()
    for start, length, context in zip(*windows, strict=True):
        assert length <= longest
        predicted.update(range(start + context, start + length))

    assert predicted == Counter(range(offsets[-1]))


def test_a_batch_has_the_targets_of_each_real_position() -> None:
    (batch,) = batches([3, 2]).in_order(padded_tokens=64, most_windows=9, seed=0)

    assert batch.inputs.items.tolist() == [[2, 3, 4, 0], [5, 6, 0, 0]]  # index + 2
    assert batch.inputs.lengths.tolist() == [3, 2]
    assert batch.next_items.tolist() == [[1, 2, -2, -2], [4, -2, -2, -2]]
    assert batch.intents[1, :, 0].tolist() == [0, 0, -1, -1]  # padding is censored


def test_context_positions_have_no_target() -> None:
    found = [
        (row_items.tolist(), row_next.tolist())
        for batch in batches([6]).in_order(padded_tokens=4, most_windows=9, seed=0)
        for row_items, row_next in zip(batch.inputs.items, batch.next_items, strict=True)
    ]

    assert sorted(found) == [([2, 3, 4, 5], [1, 2, 3, 4]), ([4, 5, 6, 7], [-2, -2, 5, -2])]


def test_batches_hold_no_more_padded_tokens_than_allowed() -> None:
    made = batches([1, 4, 2, 3, 4, 1, 2])
    shuffled = [made.batch(8, (0, 1), place) for place in range(made.count(8))]

    assert all(batch.inputs.items.size <= 8 for batch in shuffled)
    assert sum(len(batch.inputs.lengths) for batch in shuffled) == 7


def test_windows_without_a_target_are_left_out() -> None:
    whole = histories([2, 2])
    later = label(whole, Period(2_500, 1 << 60), CONFIG)  # only the second user's last event

    assert len(Batches(whole, later, CONFIG).windows.starts) == 1
