"""The day parts: item counts for each part of the day, to score unknown users.

The day has four parts of six hours, in UTC; a sequence's own clock decides which one applies. The
counts of each part are smoothed with a hundred prior events, distributed like the whole day's, so
a part with few events is close to the whole.
"""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.catalogue import PER_EVENT, UNKNOWN, Ints, decays

PART_MS = 6 * 3_600_000
PARTS = 4
PRIOR_EVENTS = 100


class DayPartCounts(NamedTuple):
    """Decayed counts of the items in each part of the day."""

    counts: npt.NDArray[np.int64]  # (PARTS, V) in thousandths of an event of today

    def to_json(self) -> dict[str, Any]:
        """The counts as JSON types."""
        return {"part_ms": PART_MS, "counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, fields: dict[str, Any], items: int) -> "DayPartCounts":
        """Rebuild for a catalogue, which may have been extended with new items since.

        Raises ``ValueError``, with one line, for counts that do not fit.
        """
        expected = f"expected {PARTS} parts of {PART_MS} ms with up to {items} counts"
        try:
            found = np.array(fields.get("counts"), dtype=np.int64)
        except (TypeError, ValueError, OverflowError):
            raise ValueError(f"its counts are not a table of whole numbers, {expected}") from None
        fits = found.ndim == 2 and len(found) == PARTS and found.shape[1] <= items
        if fields.get("part_ms") != PART_MS or not fits or found.min(initial=0) < 0:
            raise ValueError(
                f"has counts of the shape {list(found.shape)} for parts of "
                f"{fields.get('part_ms')} ms, {expected}"
            )
        return cls(np.pad(found, ((0, 0), (0, items - found.shape[1]))))


def part_of_day(now_ms: int) -> int:
    """The part of the day of a time, 0 to 3."""
    return now_ms // PART_MS % PARTS


def parts_of_hours(hours: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The part of the day of hours of the week in UTC, of which the first is midnight."""
    return hours % 24 // (PART_MS // 3_600_000)


def count(
    acted_on: npt.NDArray[np.int32], times_ms: Ints, items: int, now_ms: int
) -> DayPartCounts:
    """Count every event, its weight halved for each half-life before ``now_ms``.

    ``acted_on`` (N,) are catalogue indices, or ``UNKNOWN``; ``times_ms`` (N,) are event times.
    """
    known = acted_on != UNKNOWN
    ids, times_ms = acted_on[known].astype(np.int64), times_ms[known]
    weights = PER_EVENT * decays(times_ms, now_ms)
    cells = times_ms // PART_MS % PARTS * items + ids
    counts = np.bincount(cells, weights, minlength=PARTS * items).reshape(PARTS, items)
    whole = counts.sum(axis=0)
    prior = PRIOR_EVENTS * PER_EVENT * whole / max(whole.sum(), 1)
    return DayPartCounts(np.rint(counts + prior).astype(np.int64))
