"""Newest first, then rules: the sequence's own items, then those that follow the last one."""

from typing import TYPE_CHECKING

import numpy as np

from model.baselines import newest_first, rules
from model.baselines.baseline import NOTHING, Baseline, Prefixes, Ranked

if TYPE_CHECKING:
    from model.data.dataset import Histories


def fit(histories: "Histories", items: int) -> "Joined":
    """Fit both baselines."""
    return Joined(newest_first.fit(histories, items), rules.fit(histories, items))


class Joined:
    """Ranks the sequence's items by the first baseline, then all others by the second."""

    def __init__(self, seen: Baseline, others: Baseline) -> None:
        self._seen = seen
        self._others = others

    def top(self, questions: Prefixes, k: int, exclude_seen: bool = False) -> Ranked:
        """See ``Baseline.top``."""
        others = self._others.top(questions, k, exclude_seen=True)
        if exclude_seen:
            return others
        seen = self._seen.top(questions, k)
        taken = (seen.items != NOTHING).sum(axis=1)[:, None]  # (Q, 1)
        own = np.arange(k) < taken  # (Q, k)
        rank = np.maximum(np.arange(k) - taken, 0)
        items = np.take_along_axis(others.items, rank, 1)
        weights = np.take_along_axis(others.weights, rank, 1)
        # The weights of both are between 0 and 1: adding 1 keeps the order.
        return Ranked(np.where(own, seen.items, items), np.where(own, 1 + seen.weights, weights))
