"""Newest first: the items of the sequence itself, for people come back to what they saw."""

from typing import TYPE_CHECKING

import numpy as np

from model.baselines.baseline import NOTHING, Prefixes, Ranked, distinct, first

if TYPE_CHECKING:
    from model.data.dataset import Histories


def fit(histories: "Histories", items: int) -> "NewestFirst":
    """There is nothing to learn."""
    del histories, items
    return NewestFirst()


class NewestFirst:
    """Each item of the sequence once, the one acted on last first; weight ``1 / (1 + steps)``."""

    def top(self, questions: Prefixes, k: int, exclude_seen: bool = False) -> Ranked:
        """See ``Baseline.top``; without the items seen, nothing is left."""
        size = len(questions.lengths)
        if exclude_seen:
            return Ranked(np.full((size, k), NOTHING, dtype=np.int32), np.zeros((size, k)))
        rows, items, steps = distinct(questions)
        return first(rows, items, 1 / (1 + steps), size, k)
