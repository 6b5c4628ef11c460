"""The experts for the next item: what each one says, and how they become one distribution.

Two look at the sequence through the network: *generate* may name any item of the catalogue,
*copy* any item of the window. Their logits share one normaliser (CopyNet: Gu, Lu, Li and Li,
"Incorporating Copying Mechanism in Sequence-to-Sequence Learning", ACL 2016), so the gate between
them is learned without being written down. ``join`` gives probabilities, so an expert that counts
instead of learning joins as one more summand of a weighted sum, outside the network.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

FIRST_ITEM = 2  # codes below are padding and the unknown item: never predicted
FIRST_TEMPERATURE = 14.0
FIRST_COPY_LOGIT = 3.0
MOST_OCCURRENCES = 8  # more count as this many


class Generate(nn.Module):
    """Any item: ``s_i = q·e_i + b_i`` with ``q = τ·norm(W·h)``, e of unit length, τ learned."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(FIRST_TEMPERATURE)))

    def forward(self, states: Tensor) -> Tensor:
        """The queries: states (..., D) in, (..., D) out, each of length τ."""
        direction = functional.normalize(self.query(states), dim=-1)
        return self.log_temperature.exp() * direction


class Copy(nn.Module):
    """The items of the window, position j seen from position t.

    ``c_tj = Wq h_t · Wk[e_j; x_j]/√D + distance[t−j] + g·h_t + depth[t] + occurrences[j] + 3``,
    where x_j is what went into the last block at j: the last block looks from the newest
    position only when serving, so its other outputs are not there to be read.
    """

    def __init__(self, width: int, max_length: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(2 * width, width, bias=False)
        self.gate = nn.Linear(width, 1)
        self.distance = nn.Parameter(torch.zeros(max_length))
        self.depth = nn.Parameter(torch.zeros(deepest(max_length) + 1))
        self.occurrences = nn.Parameter(torch.zeros(MOST_OCCURRENCES + 1))
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, FIRST_COPY_LOGIT)

    def forward(
        self,
        states: Tensor,
        vectors: Tensor,
        inputs: Tensor,
        items: Tensor,
        at: Tensor | None = None,
    ) -> Tensor:
        """Copy logits (B, T, L), minus infinity where there is nothing to copy.

        ``states`` (B, T, D) stand at the positions ``at`` (B, T), else at all; ``vectors`` and
        ``inputs`` (B, L, D) and ``items`` (B, L) are the whole window.
        """
        keys = self.key(torch.cat([vectors, inputs], dim=-1))  # (B, L, D)
        match = self.query(states) @ keys.transpose(1, 2) / math.sqrt(keys.shape[-1])
        distance = distances(at, items.shape[1], items.device)  # (1 or B, T, L)
        past = distance >= 0
        same = (items[:, :, None] == items[:, None, :]).to(match.dtype)  # (B, L, L)
        occurred = (past.to(match.dtype) @ same).clamp(max=MOST_OCCURRENCES)  # (B, T, L)
        logits: Tensor = (
            match
            + self.distance[distance.clamp(min=0)]
            + self.gate(states)
            + self.depth[depths(at, items.shape[1], len(self.distance), items.device)][..., None]
            + self.occurrences[occurred.long()]
        )
        copyable = past & (items >= FIRST_ITEM)[:, None, :]
        return logits.masked_fill(~copyable, -torch.inf)


def distances(at: Tensor | None, length: int, device: torch.device) -> Tensor:
    """How far before ``at`` (B, T), or before each position, all stand: (1 or B, T, L)."""
    everywhere = torch.arange(length, device=device)
    return (everywhere[None] if at is None else at)[..., None] - everywhere


def depths(at: Tensor | None, length: int, max_length: int, device: torch.device) -> Tensor:
    """How deep in the window ``at`` (B, T), or each position, is: (1 or B, T), capped.

    A long history is learnt from windows that overlap by half and served from its end: beyond
    half a window the depth only says that there was more before.
    """
    everywhere = torch.arange(length, device=device)
    return (everywhere[None] if at is None else at).clamp(max=deepest(max_length))


def deepest(max_length: int) -> int:
    """The cap of ``depths``."""
    return max_length // 2


def occurrences(items: Tensor) -> Tensor:
    """How often the item of each position occurred in ``items`` (B, L) so far, itself included.

    0 where the item is unknown, for two unknown ones need not be the same.
    """
    past = distances(None, items.shape[1], items.device) >= 0  # (1, L, L)
    same = (items[:, :, None] == items[:, None, :]) & (items >= FIRST_ITEM)[:, None, :]
    return (same & past).sum(2).clamp(max=MOST_OCCURRENCES)


def join(scores: Tensor, copies: Tensor, items: Tensor) -> Tensor:
    """``p(y) = (exp s_y + Σ_{j: x_j = y} exp c_j) / Z`` over the catalogue, (N, V).

    ``scores`` (N, V) are the generate logits, ``copies`` (N, L) those of the window's ``items``
    (N, L), minus infinity where there is nothing to copy.
    """
    n_items = scores.shape[1]
    shares = torch.softmax(torch.cat([scores, copies], dim=1), dim=1)  # (N, V + L)
    index = (items.long() - FIRST_ITEM).clamp(min=0)  # nothing to copy: adds 0 to item 0
    return shares[:, :n_items].scatter_add(1, index, shares[:, n_items:])
