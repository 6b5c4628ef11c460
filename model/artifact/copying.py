"""The copy curve: how likely each item of a window comes next, by when and how it was acted on.

It knows nothing of an item but its places in the window, so it holds for items that no catalogue
has. Fitted on the log and applied with NumPy alone, so that a worker needs no more.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# The lower bounds of all buckets but the first.
STEPS = (1, 2, 3, 4, 6, 9, 16)  # back from the window's end to the item's newest place
TIMES = (2, 3, 4)  # that the item occurs in the window
AGES_MS = (60_000, 600_000, 3_600_000, 21_600_000, 86_400_000)  # of its newest action
DISTINCT = (2, 3, 5, 9, 17)  # items in the window
LARGEST = 1e6  # of a factor


class Candidates(NamedTuple):
    """The distinct items of B windows, the newest of each window first; K in all."""

    rows: Ints  # (K,) the window
    newest: Ints  # (K,) where the item stands last, among the N actions of all windows
    cells: Ints  # (K, 6) a bucket of each feature, in the order of ``sizes``


@dataclass(frozen=True, slots=True)
class CopyCurve:
    """``p_i = w_i / (1 + Σ_j w_j)`` over the items of a window; w_i is a product of factors.

    One table of factors for each feature, in the order of ``sizes``. ``new`` is one more factor,
    for the items that the catalogue lacks.
    """

    tables: tuple[tuple[float, ...], ...]
    new: float = 1.0

    def weights(self, cells: Ints) -> Floats:
        """The weight of each candidate (K, 6) without ``new``; each depends on its own row."""
        product = np.ones(len(cells))
        for column, table in enumerate(self.tables):
            product *= np.array(table)[cells[:, column]]
        return product

    def to_json(self) -> dict[str, Any]:
        """The tables as JSON types."""
        names = sizes(actions=0)
        named = {name: list(table) for name, table in zip(names, self.tables, strict=True)}
        return named | {"new": self.new}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any], actions: int) -> "CopyCurve":
        """Rebuild for a model of so many actions.

        Raises ``ValueError``, with one line, for a missing or invalid number.
        """
        tables = []
        for name, size in sizes(actions).items():
            table = fields.get(name)
            if not isinstance(table, list) or len(table) != size or not all(map(_is_factor, table)):
                raise ValueError(f"{name} is {table!r:.60}, expected {size} positive numbers")
            tables.append(tuple(map(float, table)))
        if not _is_factor(fields.get("new")):
            raise ValueError(f"new is {fields.get('new')!r:.60}, expected a positive number")
        return cls(tuple(tables), float(fields["new"]))


def sizes(actions: int) -> dict[str, int]:
    """The length of each table for a model of so many actions.

    The tables of actions begin with the action that the model does not know: that of the item's
    newest action, and that of the window's.
    """
    return {
        "steps": len(STEPS) + 1,
        "times": len(TIMES) + 1,
        "ages": len(AGES_MS) + 1,
        "distinct": len(DISTINCT) + 1,
        "actions": actions + 1,
        "last_actions": actions + 1,
    }


def candidates(
    items: Ints, actions: Ints, times_ms: Ints, lengths: Ints, now_ms: Ints
) -> Candidates:
    """The candidates of B windows without an empty one, given their N actions.

    ``items`` (N,) are any numbers that tell items apart, ``actions`` (N,) positions in the
    config's, -1 for others; ordered by window, oldest first, with ``lengths`` (B,) in each;
    ``now_ms`` (B,) are the windows' clocks.
    """
    rows = np.repeat(np.arange(len(lengths)), lengths)
    ends = np.cumsum(lengths)
    steps = ends[rows] - 1 - np.arange(len(items))
    order = np.lexsort((steps, items, rows))
    starts = np.ones(len(items), dtype=np.bool_)
    starts[1:] = (rows[order][1:] != rows[order][:-1]) | (items[order][1:] != items[order][:-1])
    begins = np.flatnonzero(starts)
    times = np.diff(np.append(begins, len(items)))
    newest = order[begins]
    by_age = np.lexsort((steps[newest], rows[newest]))
    newest, times = newest[by_age], times[by_age]
    row = rows[newest]
    distinct = np.bincount(row, minlength=len(lengths))[row]
    cells = [
        np.searchsorted(STEPS, steps[newest], side="right"),
        np.searchsorted(TIMES, times, side="right"),
        np.searchsorted(AGES_MS, now_ms[row] - times_ms[newest], side="right"),
        np.searchsorted(DISTINCT, distinct, side="right"),
        actions[newest] + 1,
        actions[ends[row] - 1] + 1,
    ]
    return Candidates(row, newest, np.stack(cells, axis=1))


def _is_factor(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 < value <= LARGEST
