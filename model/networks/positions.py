"""The positions of a window in torch: their distances, depths and repeated items."""

import torch
from torch import Tensor

from model.features import FIRST_ITEM

MOST_OCCURRENCES = 8  # higher counts are capped here
BUCKET_STARTS = (1, 2, 3, 5, 8, 15)  # depths at which the next bucket begins
BUCKETS = len(BUCKET_STARTS) + 1


def pick(x: Tensor, at: Tensor) -> Tensor:
    """The rows of x (B, L, D) at the positions ``at`` (B, T): (B, T, D)."""
    return x.gather(1, at[..., None].expand(-1, -1, x.shape[-1]))


def positions(at: Tensor | None, length: int, device: torch.device) -> Tensor:
    """The query positions: ``at`` (B, T), or all of them, (1, L)."""
    return torch.arange(length, device=device)[None] if at is None else at


def distances(at: Tensor | None, length: int, device: torch.device) -> Tensor:
    """How far each position lies before ``at`` (B, T), or before every one: (1 or B, T, L)."""
    every = torch.arange(length, device=device)
    return positions(at, length, device)[..., None] - every


def depths(at: Tensor | None, length: int, max_length: int, device: torch.device) -> Tensor:
    """The depth in the window of ``at`` (B, T), or of each position: (1 or B, T), capped.

    A long history is trained in windows that overlap by half and served from its end, so beyond
    half a window the depth only means that there is more history.
    """
    return positions(at, length, device).clamp(max=deepest(max_length))


def deepest(max_length: int) -> int:
    """The cap of ``depths``."""
    return max_length // 2


def buckets(at: Tensor | None, length: int, device: torch.device) -> Tensor:
    """The depth bucket of ``at`` (B, T), or of each position: (1 or B, T)."""
    position = positions(at, length, device)
    # One by one: a tensor of starts means a copy from the host, which a CUDA graph cannot capture.
    passed = [(position >= start).long() for start in BUCKET_STARTS]
    return torch.stack(passed).sum(0)


def occurrences(items: Tensor) -> Tensor:
    """The occurrences so far of each position's item in ``items`` (B, L), itself included.

    0 where the item is unknown, since two unknown items may differ.
    """
    past = distances(None, items.shape[1], items.device) >= 0  # (1, L, L)
    same = (items[:, :, None] == items[:, None, :]) & (items >= FIRST_ITEM)[:, None, :]
    return (same & past).sum(2).clamp(max=MOST_OCCURRENCES)
