"""The positions of a window: how far apart, how deep, how often the same item; in torch."""

import torch
from torch import Tensor

from model.features import FIRST_ITEM

MOST_OCCURRENCES = 8  # more count as this many
BUCKET_STARTS = (1, 2, 3, 5, 8, 15)  # depths at which the next bucket begins
BUCKETS = len(BUCKET_STARTS) + 1


def pick(x: Tensor, at: Tensor) -> Tensor:
    """The rows of x (B, L, D) at the positions ``at`` (B, T): (B, T, D)."""
    return x.gather(1, at[..., None].expand(-1, -1, x.shape[-1]))


def positions(at: Tensor | None, length: int, device: torch.device) -> Tensor:
    """The positions looked from: ``at`` (B, T), or all of them, (1, L)."""
    return torch.arange(length, device=device)[None] if at is None else at


def distances(at: Tensor | None, length: int, device: torch.device) -> Tensor:
    """How far before ``at`` (B, T), or before each position, all stand: (1 or B, T, L)."""
    everywhere = torch.arange(length, device=device)
    return positions(at, length, device)[..., None] - everywhere


def depths(at: Tensor | None, length: int, max_length: int, device: torch.device) -> Tensor:
    """How deep in the window ``at`` (B, T), or each position, is: (1 or B, T), capped.

    A long history is learnt from windows that overlap by half and served from its end: beyond
    half a window the depth only says that there was more before.
    """
    return positions(at, length, device).clamp(max=deepest(max_length))


def deepest(max_length: int) -> int:
    """The cap of ``depths``."""
    return max_length // 2


def buckets(at: Tensor | None, length: int, device: torch.device) -> Tensor:
    """Which bucket of depths ``at`` (B, T), or each position, is in: (1 or B, T)."""
    position = positions(at, length, device)
    # One by one: a tensor of the starts would be a copy from the host, which no CUDA graph takes.
    passed = [(position >= start).long() for start in BUCKET_STARTS]
    return torch.stack(passed).sum(0)


def occurrences(items: Tensor) -> Tensor:
    """How often the item of each position occurred in ``items`` (B, L) so far, itself included.

    0 where the item is unknown, for two unknown ones need not be the same.
    """
    past = distances(None, items.shape[1], items.device) >= 0  # (1, L, L)
    same = (items[:, :, None] == items[:, None, :]) & (items >= FIRST_ITEM)[:, None, :]
    return (same & past).sum(2).clamp(max=MOST_OCCURRENCES)
