"""Lag: how far the worker is behind the end of each partition, in records and in seconds."""

from collections.abc import Mapping
from typing import NamedTuple


class Lag(NamedTuple):
    """By partition; what is unknown has no entry."""

    records: dict[int, int]  # not safe yet
    committed: dict[int, int]  # beyond the group's commit
    seconds: dict[int, float]  # the age of the oldest record that is not safe yet


UNKNOWN = Lag({}, {}, {})


def lag_of(
    ends: Mapping[int, int],
    safe: Mapping[int, int],
    committed: Mapping[int, int],
    oldest_ms: Mapping[int, int],
    now_ms: float,
) -> Lag:
    """The lag of the partitions whose end is known.

    ``safe`` and ``committed`` are offsets, missing where there is none yet: then the lag is
    unknown, as a log need not start at 0. ``oldest_ms`` are record timestamps, see
    `Pipeline.oldest_unsafe_ms`.
    """
    records = _behind(ends, safe)
    return Lag(
        records,
        _behind(ends, committed),
        {
            number: max(0.0, now_ms - oldest_ms[number]) / 1000 if behind else 0.0
            for number, behind in records.items()
            if not behind or number in oldest_ms
        },
    )


def _behind(ends: Mapping[int, int], offsets: Mapping[int, int]) -> dict[int, int]:
    known = ((number, end) for number, end in ends.items() if number in offsets)
    return {number: max(0, end - offsets[number]) for number, end in known}
