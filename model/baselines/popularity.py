"""Popularity: ranks items by their decayed counts, the same for all users."""

from typing import TYPE_CHECKING

import numpy as np

from model.baselines.baseline import Floats, Ints, Prefixes, Ranked, first, is_seen
from model.catalogue import UNKNOWN, decays
from model.data.dataset import spans

if TYPE_CHECKING:
    from model.data.dataset import Histories


def fit(histories: "Histories", items: int) -> "Popularity":
    """Count the events, each halved for each half-life before the newest one."""
    known = histories.items != UNKNOWN
    ids, times_ms = histories.items[known], histories.times_ms[known]
    weights = decays(times_ms, int(times_ms.max(initial=0)))
    counts: Floats = np.bincount(ids, weights, minlength=items).astype(np.float64)
    return Popularity(counts)


class Popularity:
    """Ranks all items that occur by their decayed counts, (items,)."""

    def __init__(self, counts: Floats) -> None:
        order: Ints = np.argsort(-counts, kind="stable")
        self._items = order[counts[order] > 0]
        self._weights = counts[self._items] / max(counts.sum(), 1)

    def top(self, questions: Prefixes, k: int, exclude_seen: bool = False) -> Ranked:
        """See ``Baseline.top``; the same for all questions, except for excluded items."""
        size = len(questions.lengths)
        needed = k + questions.lengths if exclude_seen else np.full(size, k)
        rows, positions = spans(np.zeros(size, np.int64), np.minimum(needed, len(self._items)))
        if exclude_seen:
            new = ~is_seen(questions, rows, self._items[positions])
            rows, positions = rows[new], positions[new]
        return first(rows, self._items[positions], self._weights[positions], size, k)
