"""The encoder: codes, padding, and the equality of training and serving."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.features import bucket_gaps, encode, flatten, flatten_columns, hours_of_week, pad
from model.sequence import Sequence

CONFIG = ArtifactConfig(max_length=6)
CATALOGUE = Catalogue.from_names(["a", "b", "c"], [None] * 3, [1, 1, 1])


def sequence_of(*actions: tuple[str, str, int], now_ms: int) -> Sequence:
    items, kinds, times_ms = zip(*actions, strict=True) if actions else ((), (), ())
    return Sequence(items, kinds, times_ms, now_ms)


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    length = draw(st.integers(0, 9))
    items = draw(st.lists(st.sampled_from("abcxy"), min_size=length, max_size=length))
    kinds = draw(
        st.lists(
            st.sampled_from(["click", "cart", "buy", "wish"]), min_size=length, max_size=length
        )
    )
    times_ms = draw(st.lists(st.integers(0, 10**13), min_size=length, max_size=length))
    now_ms = max(times_ms, default=0) + draw(st.integers(0, 10**10))
    return Sequence(tuple(items), tuple(kinds), tuple(sorted(times_ms)), now_ms)


def test_codes_of_one_sequence() -> None:
    batch = encode(
        [sequence_of(("b", "click", 0), ("zz", "wish", 1_500), ("a", "buy", 4_500), now_ms=4_500)],
        CATALOGUE,
        CONFIG,
    )

    assert batch.items.tolist() == [[1 + 2, 1, 0 + 2, 0]]
    assert batch.actions.tolist() == [[0 + 1, 0, 2 + 1, 0]]  # "wish" is an unknown action
    assert batch.gaps.tolist() == [[2, 3, 1, 0]]  # 1.5 s, 3 s, 0 s
    assert batch.lengths.tolist() == [3]
    assert batch.hours.tolist() == [3 * 24]  # 1970 began on a Thursday


def test_the_newest_actions_are_kept() -> None:
    actions = [("abcabcab"[i], "click", i * 1000) for i in range(8)]
    batch = encode([sequence_of(*actions, now_ms=7_000)], CATALOGUE, CONFIG)

    assert batch.lengths.tolist() == [6]
    assert batch.items.tolist() == [[2 + i % 3 for i in range(2, 8)] + [0, 0]]
    assert batch.items.shape[1] == CONFIG.padded_length == 8


@pytest.mark.parametrize(
    ("gap_ms", "bucket"),
    [
        (-5, 1),
        (0, 1),
        (999, 1),
        (1_000, 2),
        (1_999, 2),
        (2_000, 3),
        (3_600_000, 2 + 11),  # 3600 s lies in [2^11 s, 2^12 s)
        (2**21 * 1000 - 1, 22),
        (2**21 * 1000, 23),
        (10**13, 23),
    ],
)
def test_the_bucket_of_a_gap(gap_ms: int, bucket: int) -> None:
    assert bucket_gaps(np.array([gap_ms]), CONFIG).tolist() == [bucket]


@pytest.mark.parametrize(
    ("time_ms", "hour"),
    [
        (4 * 86_400_000, 0),  # the first Monday
        (4 * 86_400_000 - 1, 7 * 24 - 1),
        (1_767_225_599_999, 2 * 24 + 23),  # the last millisecond of 2025, a Wednesday
    ],
)
def test_hours_count_from_monday_in_utc(time_ms: int, hour: int) -> None:
    assert hours_of_week(np.array([time_ms])).tolist() == [hour]


@given(st.lists(sequences(), max_size=5))
def test_width_is_a_multiple_of_four_and_padding_is_zero(batch: list[Sequence]) -> None:
    padded = encode(batch, CATALOGUE, CONFIG)

    assert padded.items.shape[1] % 4 == 0
    for row, length in enumerate(padded.lengths):
        assert (padded.items[row, :length] > 0).all()
        assert (padded.gaps[row, :length] > 0).all()
        for codes in padded[:3]:
            assert not codes[row, length:].any()


@given(st.lists(sequences(), min_size=1, max_size=5))
def test_a_sequence_is_encoded_the_same_alone_and_in_a_batch(batch: list[Sequence]) -> None:
    together = encode(batch, CATALOGUE, CONFIG)

    for row, sequence in enumerate(batch):
        alone = encode([sequence], CATALOGUE, CONFIG)
        length = int(alone.lengths[0])
        for codes, codes_alone in zip(together[:3], alone[:3], strict=True):
            assert codes[row, :length].tolist() == codes_alone[0, :length].tolist()


@given(st.lists(sequences(), min_size=1, max_size=5))
def test_columns_and_sequences_are_encoded_the_same(batch: list[Sequence]) -> None:
    """Both are compared with a plain loop, so that they cannot share an error."""
    kinds = {kind: place for place, kind in enumerate(CONFIG.actions)}
    columns = flatten_columns(
        np.array([CATALOGUE.index.get(i, -1) for s in batch for i in s.items], np.int64),
        np.array([kinds.get(k, -1) for s in batch for k in s.actions], np.int64),
        np.array([t for s in batch for t in s.times_ms], np.int64),
        np.array([len(s.items) for s in batch], np.int64),
        np.array([s.now_ms for s in batch], np.int64),
        CONFIG,
    )
    expected_gaps = [
        1 + sum(after - before >= bound for bound in CONFIG.gap_bounds_ms)
        for s in batch
        for before, after in list(zip(s.times_ms, (*s.times_ms[1:], s.now_ms), strict=False))[-6:]
    ]

    assert columns.gaps.tolist() == expected_gaps
    for ours, theirs in zip(columns, flatten(batch, CATALOGUE, CONFIG), strict=True):
        assert ours.tolist() == theirs.tolist()


@given(st.lists(sequences(), min_size=1, max_size=5), st.data())
def test_padding_some_rows_equals_encoding_them(batch: list[Sequence], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(batch) - 1), min_size=1))
    picked = pad(flatten(batch, CATALOGUE, CONFIG), np.array(rows))
    encoded = encode([batch[row] for row in rows], CATALOGUE, CONFIG)

    for ours, theirs in zip(picked, encoded, strict=True):
        assert np.array_equal(ours, theirs)


def test_a_sequence_without_an_item_of_the_catalogue_is_unknown() -> None:
    batch = [
        sequence_of(now_ms=0),
        sequence_of(("x", "click", 0), ("a", "click", 0), now_ms=0),
        sequence_of(("x", "click", 0), now_ms=0),
        sequence_of(("a", "click", 0), *[("x", "click", 1)] * 6, now_ms=1),  # "a" is too old
    ]

    assert flatten(batch, CATALOGUE, CONFIG).known().tolist() == [False, True, False, False]


def test_columns_of_different_lengths_are_rejected() -> None:
    with pytest.raises(ValueError, match="2 items, 1 actions and 2 times in 1 sequences"):
        encode([Sequence(("a", "b"), ("click",), (1, 2), 2)], CATALOGUE, CONFIG)
