"""Co-occurrence: which items follow which in the histories, within a number of steps."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from model.data.dataset import Histories

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Ints = npt.NDArray[np.int64]


class Ranked(NamedTuple):
    """The P entries of a sparse matrix, row by row, the largest of each row first."""

    rows: Ints  # (P,)
    columns: npt.NDArray[np.int32]  # (P,) among equal values, the smaller column first
    values: npt.NDArray[np.floating]  # (P,)
    ranks: Ints  # (P,) within the row, from 0


def co_occurrences(
    histories: Histories,
    items: int,
    steps: int,
    *,
    itself: bool = True,
    dtype: npt.DTypeLike = np.float64,
) -> "csr_array":
    """``Σ 1 / (j − i)`` over ``x_i = a``, ``x_j = b``, ``0 < j − i ≤ steps`` of one user.

    (items, items), row a, column b, summed in ``dtype``; without ``itself``, pairs of an item
    with itself are left out.
    """
    from scipy.sparse import csr_array

    ids, users = histories.items, histories.users
    counts = csr_array((items, items), dtype=dtype)
    for distance in range(1, min(steps, len(ids) - 1) + 1):
        before, after = ids[:-distance], ids[distance:]
        pairs = (users[:-distance] == users[distance:]) & (before >= 0) & (after >= 0)
        if not itself:
            pairs &= before != after
        weights = np.full(int(pairs.sum()), 1 / distance, dtype=dtype)
        counts = counts + csr_array((weights, (before[pairs], after[pairs])), shape=(items, items))
    return counts


def rank_rows(matrix: "csr_array") -> Ranked:
    """The entries of each row, the largest value first."""
    starts = matrix.indptr.astype(np.int64)
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(starts))
    order = np.lexsort((matrix.indices, -matrix.data, rows))  # sorts only within each row
    ranks = np.arange(len(rows)) - starts[rows]
    return Ranked(rows, matrix.indices[order], matrix.data[order], ranks)
