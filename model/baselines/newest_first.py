"""Newest first: ranks the items of the sequence itself, as users often return to them."""

from typing import TYPE_CHECKING

import numpy as np

from model.baselines.baseline import NOTHING, Prefixes, Ranked, distinct, first

if TYPE_CHECKING:
    from model.data.dataset import Histories


def fit(histories: "Histories", items: int) -> "NewestFirst":
    """The baseline; nothing is fitted."""
    del histories, items
    return NewestFirst()


class NewestFirst:
    """Ranks each item of the sequence once, the newest first; weight ``1 / (1 + steps)``."""

    def top(self, questions: Prefixes, k: int, exclude_seen: bool = False) -> Ranked:
        """See ``Baseline.top``; with ``exclude_seen``, every answer is empty."""
        size = len(questions.lengths)
        if exclude_seen:
            return Ranked(np.full((size, k), NOTHING, dtype=np.int32), np.zeros((size, k)))
        rows, items, steps = distinct(questions)
        return first(rows, items, 1 / (1 + steps), size, k)
