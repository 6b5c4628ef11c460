"""The baseline protocol: its input and output, as arrays of catalogue indices, and helpers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from model.catalogue import UNKNOWN

if TYPE_CHECKING:
    from model.data.dataset import Histories

Ints = npt.NDArray[np.int64]
Indices = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

NOTHING = -1  # pads an answer that has no more items


class Prefixes(NamedTuple):
    """The known items of each of Q questions, N actions in all, each question's oldest first."""

    items: npt.NDArray[np.integer]  # (N,) catalogue indices, or UNKNOWN
    offsets: Ints  # (Q + 1,) question q's actions are offsets[q] to offsets[q + 1]

    @property
    def lengths(self) -> Ints:
        """The number of known actions of each question, (Q,)."""
        return np.diff(self.offsets)

    @property
    def rows(self) -> Ints:
        """The question of each action, (N,)."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths)

    @property
    def last(self) -> Ints:
        """The newest item of each question, (Q,); ``UNKNOWN`` without actions."""
        if not len(self.items):
            return np.full(len(self.lengths), UNKNOWN, dtype=np.int64)
        newest = self.items[np.maximum(self.offsets[1:] - 1, 0)].astype(np.int64)
        return np.where(self.lengths > 0, newest, UNKNOWN)


class Ranked(NamedTuple):
    """The best items of each question, best first; weights decrease and only give the order."""

    items: Indices  # (Q, k) catalogue indices, then NOTHING
    weights: Floats  # (Q, k) then 0


class Baseline(Protocol):
    """Anything that ranks the items of a catalogue by a question's actions."""

    def top(self, questions: Prefixes, k: int, exclude_seen: bool = False) -> Ranked:
        """The best k items of each question; ``exclude_seen`` leaves out its own items.

        A row ends early if the baseline has no further candidates. Among equal weights the
        smaller index comes first, or the newer item if items are ranked by age.
        """
        ...


Fit = Callable[["Histories", int], Baseline]  # takes the events and the size of the catalogue


def first(rows: Ints, items: npt.NDArray[np.integer], weights: Floats, size: int, k: int) -> Ranked:
    """The first k candidates of each of ``size`` rows; they are sorted by row, best first."""
    lengths = np.bincount(rows, minlength=size)
    rank = np.arange(len(rows)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    kept = rank < k
    ranked = Ranked(np.full((size, k), NOTHING, dtype=np.int32), np.zeros((size, k)))
    ranked.items[rows[kept], rank[kept]] = items[kept]
    ranked.weights[rows[kept], rank[kept]] = weights[kept]
    return ranked


def is_seen(questions: Prefixes, rows: Ints, items: npt.NDArray[np.integer]) -> Mask:
    """Whether each candidate is already among its question's own items."""
    highest = max(int(items.max(initial=0)), int(questions.items.max(initial=0)))
    base = highest + 2  # one for UNKNOWN
    own = questions.rows * base + questions.items + 1
    seen: Mask = np.isin(rows * base + items + 1, own)
    return seen


def distinct(questions: Prefixes) -> tuple[Ints, Ints, Ints]:
    """Each known item of each question once: row, item, and steps back from the end, from 0.

    Sorted by row, newest first.
    """
    rows = questions.rows
    steps = questions.offsets[1:][rows] - 1 - np.arange(len(rows))
    known = questions.items != UNKNOWN
    rows, items, steps = rows[known], questions.items[known].astype(np.int64), steps[known]
    order = np.lexsort((steps, items, rows))
    rows, items, steps = rows[order], items[order], steps[order]
    newest = np.ones(len(rows), dtype=np.bool_)
    newest[1:] = (rows[1:] != rows[:-1]) | (items[1:] != items[:-1])
    rows, items, steps = rows[newest], items[newest], steps[newest]
    order = np.lexsort((steps, rows))
    return rows[order], items[order], steps[order]
