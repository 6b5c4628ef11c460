"""Co-occurrence: how often items occur together in the training data, counted once per training.

``C[a, b] += 1 / |i − j|`` for two different items a and b at positions i and j of one user, at
most a reach apart: in both directions (*with*), and forward only (*after*). A row divided by its
sum gives the shares of an item's neighbours.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from model.data.co_occurrence import co_occurrences, rank_rows
from model.data.dataset import Histories

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Ints = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float32]

REACH = {"with": 40, "after": 10}
NEIGHBOURS = 200  # per item, at most
LARGEST_TABLE = 12_000_000  # neighbours of all items together: the table is served from memory
LEAST = 1e-3  # row sum: a smaller one is rounding error, not evidence


class Counts(NamedTuple):
    """Co-occurrence counts: a sparse (V, V) matrix as sorted keys, and its row sums."""

    keys: Ints  # (P,) a · V + b, ascending
    values: Reals  # (P,)
    sums: Reals  # (V,)

    def look_up(self, a: Ints, b: Ints) -> Reals:
        """The counts of pairs of items, of any shape; 0 where one of them is negative."""
        if not len(self.keys):
            return np.zeros(np.broadcast_shapes(a.shape, b.shape), dtype=np.float32)
        keys = a * len(self.sums) + b
        index = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        found = (self.keys[index] == keys) & (a >= 0) & (b >= 0)
        return np.where(found, self.values[index], np.float32(0))


class Neighbours(NamedTuple):
    """The best M neighbours of each item, and their shares of the item's row."""

    items: npt.NDArray[np.int32]  # (V, M) catalogue indices, -1 where there are fewer
    shares: Reals  # (E, V, M) for each way of counting, 0 where there are fewer


class LeftOut(NamedTuple):
    """The counts for a batch of windows without the contribution of each window itself."""

    shares: Reals  # (B, E, T, L) of the target at t in the row of the item at j
    sums: Reals  # (B, E, L) of the row of the item at j


def count(histories: Histories, items: int) -> tuple[Counts, ...]:
    """Count co-occurrences among ``items`` items in each way, in the order of ``REACH``."""
    with_, after = (
        co_occurrences(histories, items, reach, itself=False, dtype=np.float32)
        for reach in REACH.values()
    )
    return _counts(with_ + with_.T), _counts(after)


def neighbours_of(counts: tuple[Counts, ...], most: int = NEIGHBOURS) -> Neighbours:
    """The ``most`` items with the largest shares, summed over all ways of counting."""
    items = len(counts[0].sums)
    most = max(1, min(most, LARGEST_TABLE // items))
    whole = sum((_shares(found) for found in counts[1:]), _shares(counts[0]))
    ranked = rank_rows(whole)
    kept = ranked.ranks < most
    rows, ranks, columns = ranked.rows[kept], ranked.ranks[kept], ranked.columns[kept]
    width = int(ranks.max(initial=0)) + 1
    found = np.full((items, width), -1, dtype=np.int32)
    found[rows, ranks] = columns
    shares = np.zeros((len(counts), items, width), dtype=np.float32)
    for way, counted in enumerate(counts):
        part = counted.look_up(rows.astype(np.int64), columns.astype(np.int64))
        shares[way, rows, ranks] = part / np.maximum(counted.sums[rows], LEAST)
    return Neighbours(found, shares)


def leave_out(counts: tuple[Counts, ...], items: Ints, targets: Ints, lengths: Ints) -> LeftOut:
    """Subtract from the counts what each window added, including its targets (B, T).

    Otherwise the network would see its target in the counts and learn to trust them too much.
    ``items`` (B, L) are catalogue indices, negative for none; the target of a window's last event
    counts as the event after it.
    """
    rows = np.arange(len(items))
    whole = np.concatenate([items, np.full((len(items), 1), -1, dtype=items.dtype)], axis=1)
    whole[rows, lengths] = targets[rows, lengths - 1]
    known = (whole >= 0)[:, None, :]
    same = ((whole[:, :, None] == whole[:, None, :]) & known).astype(np.float32)  # (B, L+1, L+1)
    other = (known & (same == 0)).astype(np.float32)
    itself = items[:, None, :] == targets[:, :, None]
    shares, sums = [], []
    for near, counted in zip(_near(whole.shape[1]), counts, strict=True):
        reached = same @ near  # added by the window from all positions with the item of j to i
        left = counted.sums[items.clip(min=0)] - (reached * other).sum(axis=2)[:, :-1]  # (B, L)
        enough = (items >= 0) & (left > LEAST)
        own = (reached @ same)[:, :-1, 1:].transpose(0, 2, 1)  # (B, T, L)
        pairs = counted.look_up(items[:, None, :], targets[:, :, None]) - own
        pairs = np.where(itself | ~enough[:, None], 0, pairs.clip(min=0))
        shares.append(pairs / np.where(enough, left, 1)[:, None])
        sums.append(np.where(enough, left, 0))
    return LeftOut(np.stack(shares, 1).astype(np.float32), np.stack(sums, 1).astype(np.float32))


def _counts(matrix: "csr_array") -> Counts:
    matrix.sort_indices()
    items = matrix.shape[0]
    rows = np.repeat(np.arange(items, dtype=np.int64), np.diff(matrix.indptr))
    sums = np.bincount(rows, weights=matrix.data, minlength=items)
    return Counts(rows * items + matrix.indices, matrix.data, sums.astype(np.float32))


def _shares(counts: Counts) -> "csr_array":
    from scipy.sparse import csr_array

    items = len(counts.sums)
    rows, columns = np.divmod(counts.keys, items)
    return csr_array((counts.values / counts.sums[rows], (rows, columns)), shape=(items, items))


def _near(width: int) -> tuple[Reals, Reals]:
    """The weight of a pair at positions i and j, (W, W), for each way of ``count``."""
    ahead = np.arange(width)[None, :] - np.arange(width)[:, None]
    apart = np.abs(ahead)
    added = 1 / np.maximum(apart, 1)
    with_ = np.where((apart > 0) & (apart <= REACH["with"]), added, 0)
    after = np.where((ahead > 0) & (apart <= REACH["after"]), added, 0)
    return with_.astype(np.float32), after.astype(np.float32)
