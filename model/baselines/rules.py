"""Sequential rules: ranks the items that most often followed the last one within a few steps.

Ludewig & Jannach, "Evaluation of session-based recommendation algorithms" (UMUAI 2018), SR with
the weight ``1 / distance``: ``w(a → b) = Σ 1 / (j − i)`` over ``x_i = a``, ``x_j = b``,
``0 < j − i ≤ 10`` in the sequence of one user.
"""

from typing import TYPE_CHECKING

import numpy as np

from model.baselines.baseline import Floats, Ints, Prefixes, Ranked, first, is_seen
from model.catalogue import UNKNOWN
from model.data.co_occurrence import co_occurrences, rank_rows
from model.data.dataset import spans

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from model.data.dataset import Histories

STEPS = 10


def fit(histories: "Histories", items: int) -> "Rules":
    """Count the co-occurrences."""
    return Rules(co_occurrences(histories, items, STEPS))


class Rules:
    """Ranks items by their share of those that followed the last one."""

    def __init__(self, counts: "csr_array") -> None:
        self._starts: Ints = counts.indptr.astype(np.int64)
        ranked = rank_rows(counts)
        self._items = ranked.columns
        totals = np.bincount(ranked.rows, counts.data, minlength=counts.shape[0])
        self._shares: Floats = ranked.values / totals[ranked.rows]

    def top(self, questions: Prefixes, k: int, exclude_seen: bool = False) -> Ranked:
        """See ``Baseline.top``; the answer is empty if the last item is unknown."""
        last = questions.last
        begins, ends = self._starts[last], self._starts[last + 1]
        # The rules of an item are sorted best first, so no more than these can be needed.
        needed = k + questions.lengths if exclude_seen else np.full(len(last), k)
        lengths = np.where(last == UNKNOWN, 0, np.minimum(ends - begins, needed))
        rows, positions = spans(begins, lengths)
        if exclude_seen:
            new = ~is_seen(questions, rows, self._items[positions])
            rows, positions = rows[new], positions[new]
        return first(rows, self._items[positions], self._shares[positions], len(last), k)
