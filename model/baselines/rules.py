"""Sequential rules: what most often followed the last item within a few steps.

Ludewig & Jannach, "Evaluation of session-based recommendation algorithms" (UMUAI 2018), SR with
the weight ``1 / distance``: ``w(a → b) = Σ 1 / (j − i)`` over ``x_i = a``, ``x_j = b``,
``0 < j − i ≤ 10`` in the sequence of one user.
"""

from typing import TYPE_CHECKING

import numpy as np

from model.baselines.baseline import Floats, Ints, Prefixes, Ranked, first, is_seen, spans
from model.catalogue import UNKNOWN

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from model.data.dataset import Histories

STEPS = 10


def fit(histories: "Histories", items: int) -> "Rules":
    """Count once."""
    return Rules(co_occurrences(histories, items))


def co_occurrences(histories: "Histories", items: int, steps: int = STEPS) -> "csr_array":
    """``w(a → b)`` of the formula above, (items, items), row a, column b."""
    from scipy.sparse import coo_array, csr_array

    ids, offsets = histories.items, histories.offsets
    users = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    counts = csr_array((items, items))
    for distance in range(1, min(steps, len(ids) - 1) + 1):
        before, after = ids[:-distance], ids[distance:]
        pairs = users[:-distance] == users[distance:]
        pairs &= (before != UNKNOWN) & (after != UNKNOWN)
        weights = np.full(int(pairs.sum()), 1 / distance)
        found = coo_array((weights, (before[pairs], after[pairs])), shape=(items, items))
        counts = counts + found.tocsr()
    return counts


class Rules:
    """Ranks by the share of each item in what followed the last one."""

    def __init__(self, counts: "csr_array") -> None:
        self._starts: Ints = counts.indptr.astype(np.int64)
        rows = np.repeat(np.arange(counts.shape[0]), np.diff(self._starts))
        order = np.lexsort((counts.indices, -counts.data, rows))
        self._items = counts.indices[order]
        totals = np.bincount(rows, counts.data, minlength=counts.shape[0])
        self._shares: Floats = counts.data[order] / totals[rows]

    def top(self, questions: Prefixes, k: int, exclude_seen: bool = False) -> Ranked:
        """See ``Baseline.top``; nothing where the last item is unknown."""
        last = questions.last
        begins, ends = self._starts[last], self._starts[last + 1]
        # The rules of an item stand best first, so no more than these can be needed.
        needed = k + questions.lengths if exclude_seen else np.full(len(last), k)
        lengths = np.where(last == UNKNOWN, 0, np.minimum(ends - begins, needed))
        rows, places = spans(begins, lengths)
        if exclude_seen:
            new = ~is_seen(questions, rows, self._items[places])
            rows, places = rows[new], places[new]
        return first(rows, self._items[places], self._shares[places], len(last), k)
