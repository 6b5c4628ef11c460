"""The candidates: the few items that are scored for a user, and how each relates to the window.

All items are codes from ``model.features``; 0 means no candidate.
"""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.data.co_occurrence import rank_rows
from model.features import FIRST_ITEM

if TYPE_CHECKING:
    from scipy.sparse import csr_array

NOBODY = 0  # the code where there is no candidate
RELATIONS = 7  # the features of ``relate`` and the candidate's popularity


class Neighbours(NamedTuple):
    """The items that most often followed each item, by item code, best first."""

    codes: npt.NDArray[np.int64]  # (V + 2, M), NOBODY where there are fewer
    shares: npt.NDArray[np.float32]  # (V + 2, M) of all items that followed


def nearest(counts: "csr_array", most: int) -> Neighbours:
    """The ``most`` largest counts of each row (V, V), the smaller index first among equals."""
    items = counts.shape[0]
    ranked = rank_rows(counts)
    kept = ranked.ranks < most
    totals = np.bincount(ranked.rows, counts.data, minlength=items)
    at = ranked.rows[kept] + FIRST_ITEM, ranked.ranks[kept]
    neighbours = Neighbours(
        np.full((items + FIRST_ITEM, most), NOBODY, dtype=np.int64),
        np.zeros((items + FIRST_ITEM, most), dtype=np.float32),
    )
    neighbours.codes[at] = ranked.columns[kept] + FIRST_ITEM
    neighbours.shares[at] = (ranked.values / totals[ranked.rows])[kept]
    return neighbours


def newest(items: Tensor, lengths: Tensor, count: int) -> Tensor:
    """The newest ``count`` items of each window (B, L), newest first, padded: (B, count)."""
    position = lengths.long()[:, None] - 1 - torch.arange(count, device=items.device)
    return items.long().gather(1, position.clamp(min=0)).masked_fill(position < 0, 0)


def once(codes: Tensor, earlier: Tensor) -> Tensor:
    """Candidates (B, N) with ``NOBODY`` for padding, unknown items and repetitions.

    ``earlier`` (N, N) is true below the diagonal.
    """
    again = ((codes[:, :, None] == codes[:, None, :]) & earlier).any(dim=2)
    return codes.masked_fill(again | (codes < FIRST_ITEM), NOBODY)


def relate(
    candidates: Tensor,
    items: Tensor,
    lengths: Tensor,
    near: tuple[Tensor, Tensor],
    attribute: Tensor,
) -> Tensor:
    """Relate each candidate (B, N) to the window's items (B, L): (B, N, RELATIONS - 1) features.

    In this order: its count in the window, log(1 + n); its recency, 1 / (1 + steps back); the
    share of the window in its category, and the recency of that category; its share among the
    neighbours of the newest item, and of the newest R items, √share. ``near`` holds the codes and
    shares (B, R, M) of the neighbours of the newest R items, ``attribute`` (V + 2,) the category
    of each item code, 0 for none.
    """
    steps = lengths[:, None] - 1 - torch.arange(items.shape[1], device=items.device)
    recency = (1 / (1 + steps.clamp(min=0).float()))[:, None, :]  # (B, 1, L)
    real = (steps >= 0)[:, None, :]
    same = ((candidates[:, :, None] == items[:, None, :]) & real).float()  # (B, N, L)
    category = attribute[candidates]
    alike = category[:, :, None] == attribute[items.long()][:, None, :]
    alike = (alike & (category > 0)[:, :, None] & real).float()
    share = alike.sum(dim=2) / lengths.clamp(min=1)[:, None]
    codes, shares = near
    last = _going_with(candidates, codes[:, 0], shares[:, 0])
    weights = 1 / (1 + torch.arange(codes.shape[1], device=codes.device).float())
    weighted = (shares * weights[:, None]).flatten(1)
    recent = _going_with(candidates, codes.flatten(1), weighted)
    columns = [
        log_counts(same.sum(dim=2), items.shape[1]),
        (same * recency).amax(dim=2),
        share,
        (alike * recency).amax(dim=2),
        torch.sqrt(last),  # no logarithm: see log_counts
        torch.sqrt(recent),
    ]
    return torch.stack(columns, dim=2)


def log_counts(counts: Tensor, most: int) -> Tensor:
    """``log(1 + n)`` of whole numbers up to ``most``, looked up in a table.

    ONNX Runtime's logarithm, power, sine and cosine give other last bits to the last few numbers
    of an array than to the others, so none of them may be applied to a whole batch.
    """
    return torch.log1p(torch.arange(most + 1, device=counts.device).float())[counts.long()]


def decays(steps: Tensor, most: int, decay: float) -> Tensor:
    """``decay`` to the power of whole steps, all below ``most``; negative steps count as 0."""
    return (decay ** torch.arange(most, device=steps.device).float())[steps.long().clamp(min=0)]


def _going_with(candidates: Tensor, codes: Tensor, shares: Tensor) -> Tensor:
    """The sum of the shares (B, J) of the codes (B, J) that equal each candidate (B, N)."""
    hits = (candidates[:, :, None] == codes[:, None, :]).float()
    return (hits * shares[:, None, :]).sum(dim=2)
