"""Titles within `--minutes`: those of popular items first, and what is left out is told."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from model.training.text.titles import AT_ONCE, encode_within
from model.training.time_limit import NO_LIMIT, TimeLimit


class Encoder:
    """Takes one second for each call, and gives a text the vector of its number."""

    width = 1

    def __init__(self) -> None:
        self.now_s = 0.0
        self.calls: list[int] = []

    def encode(self, texts: Sequence[str]) -> Any:
        self.now_s += 1
        self.calls.append(len(texts))
        return np.array([[float(text or 0)] for text in texts], dtype=np.float32)


def encoded(items: int, minutes: float | None) -> tuple[list[float], list[int], list[int]]:
    """The vectors, what was left out, and the calls, for items that are the more popular the
    higher their number; of every tenth there is no text."""
    encoder = Encoder()
    limit = TimeLimit(0.0, minutes, lambda: encoder.now_s)
    texts = ["" if n % 10 == 0 else str(n) for n in range(items)]
    counts = np.arange(items)
    vectors, left_out = encode_within(limit, encoder, texts, counts)  # type: ignore[arg-type]
    return vectors[:, 0].tolist(), left_out, encoder.calls


def test_without_a_limit_all_are_encoded_at_once() -> None:
    vectors, left_out, calls = encoded(2_000, None)

    assert (left_out, calls) == ([], [2_000])
    assert vectors[1999] == 1999 and vectors[1990] == 0


def test_with_time_enough_none_is_left_out() -> None:
    vectors, left_out, calls = encoded(2_000, 1.0)  # 15 s for 8 calls

    assert (left_out, sum(calls)) == ([], 1_800)
    assert vectors == [0.0 if n % 10 == 0 else float(n) for n in range(2_000)]


def test_with_little_time_the_most_popular_are_encoded() -> None:
    vectors, left_out, calls = encoded(2_000, 8 / 60)  # a quarter of 8 s: 2 calls

    assert calls == [AT_ONCE, AT_ONCE]
    known = [n for n in reversed(range(2_000)) if n % 10]
    assert left_out == known[2 * AT_ONCE :]
    assert [n for n in range(2_000) if vectors[n]] == sorted(known[: 2 * AT_ONCE])


def test_some_are_encoded_even_when_the_time_is_over() -> None:
    assert len(encoded(2_000, 0.0)[2]) == 1


@pytest.mark.parametrize(
    ("minutes", "found"),
    [
        (None, 1_000),
        (10.0, 1_000),  # 600 s, and 100 for all
        (1.0, 600 * 0.5),  # 60 s are 600, of which a half
        (0.01, 50),  # the least, whatever the time
    ],
)
def test_as_many_are_judged_as_their_share_of_the_time_allows(
    minutes: float | None, found: int
) -> None:
    limit = TimeLimit(0.0, minutes, lambda: 0.0)

    assert limit.affordable(1_000, 0.1, 0.5) == found
    assert limit.affordable(20, 0.1, 0.5) == 20  # there are no more


def test_no_limit_is_never_over() -> None:
    assert (NO_LIMIT.left_s(), NO_LIMIT.is_over()) == (math.inf, False)
