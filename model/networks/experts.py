"""The experts for the next item, and how their logits become one distribution.

*Generate* scores every item of the catalogue, *copy* the items of the window, and *rules* the
items that co-occur with those of the window. Their logits share one normaliser (CopyNet: Gu, Lu,
Li and Li, "Incorporating Copying Mechanism in Sequence-to-Sequence Learning", ACL 2016), so the
gate between them is learned implicitly.
"""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from model.features import FIRST_ITEM
from model.networks.positions import MOST_OCCURRENCES, deepest, depths, distances

FIRST_TEMPERATURE = 14.0
FIRST_COPY_LOGIT = 3.0
FIRST_RULE_LOGIT = 3.0
MOST_SUPPORT = 14  # the bucket for row sums of 2^11 and above


class Generate(nn.Module):
    """Scores any item: ``s_i = q·e_i + b_i``, ``q = τ·norm(W·h)``, e of unit length, τ learned."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query = nn.Linear(width, width, bias=False)
        self.log_temperature = nn.Parameter(torch.tensor(math.log(FIRST_TEMPERATURE)))

    def forward(self, states: Tensor) -> Tensor:
        """Turn states (..., D) into queries (..., D), each of length τ."""
        direction = functional.normalize(self.query(states), dim=-1)
        return self.log_temperature.exp() * direction


class Copy(nn.Module):
    """Scores the items of the window: position j, seen from position t.

    ``c_tj = Wq h_t · Wk[e_j; x_j]/√D + distance[t−j] + g·h_t + depth[t] + occurrences[j] + 3``,
    where x_j is the input of the last block at j: when serving, the last block computes the
    newest position only, so it has no output at the others.
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

        ``states`` (B, T, D) belong to the positions ``at`` (B, T), or to all if None; ``vectors``
        and ``inputs`` (B, L, D) and ``items`` (B, L) cover the whole window.
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


class Rules(nn.Module):
    """Scores the neighbours of the window's items, position j seen from t, for E ways of counting.

    ``r_tj = distance[t−j] + depth[t] + g·h_t + support[j] + 3``, where support is the bucketed
    total count of the item at j: the neighbours of a rare item are uncertain. Position j divides
    its ``exp r_tj`` among the neighbours of its item in proportion to their counts, see
    ``model.training.sequence.co_occurrence``.
    """

    def __init__(self, width: int, max_length: int, ways: int) -> None:
        super().__init__()
        self.gate = nn.Linear(width, ways)
        self.distance = nn.Parameter(torch.zeros(max_length, ways))
        self.depth = nn.Parameter(torch.zeros(deepest(max_length) + 1, ways))
        self.support = nn.Parameter(torch.zeros(MOST_SUPPORT + 1, ways))
        nn.init.zeros_(self.gate.weight)
        nn.init.constant_(self.gate.bias, FIRST_RULE_LOGIT)

    def forward(
        self, states: Tensor, items: Tensor, support: Tensor, at: Tensor | None = None
    ) -> Tensor:
        """Rule logits (B, E, T, L), minus infinity where an item has no counts.

        ``states`` (B, T, D) belong to the positions ``at`` (B, T), or to all if None; ``items``
        (B, L) is the window, ``support`` (B, E, L) the buckets of ``support_of``.
        """
        length, most = items.shape[1], len(self.distance)
        distance = distances(at, length, items.device)  # (1 or B, T, L)
        depth = self.depth[depths(at, length, most, items.device)]  # (1 or B, T, E)
        ways = torch.arange(support.shape[1], device=items.device)[:, None]
        logits: Tensor = (
            (self.gate(states) + depth).movedim(2, 1)[..., None]  # (B, E, T, 1)
            + self.distance[distance.clamp(min=0)].movedim(3, 1)  # (1 or B, E, T, L)
            + self.support[support, ways][:, :, None]  # (B, E, 1, L)
        )
        known = (support > 0) & (items >= FIRST_ITEM)[:, None]  # (B, E, L)
        usable = (distance >= 0)[:, None] & known[:, :, None]
        return logits.masked_fill(~usable, -torch.inf)


def support_of(sums: Tensor) -> Tensor:
    """The buckets of row sums of counts: 0 for no counts, then one per power of two from 1/2."""
    power = torch.log2(sums.clamp(min=0.25)).long() + 3
    return torch.where(sums > 0, power.clamp(1, MOST_SUPPORT), 0)


def join(scores: Tensor, logits: Sequence[Tensor], items: Sequence[Tensor]) -> Tensor:
    """``p(y) = (exp s_y + Σ_{k: i_k = y} exp l_k) / Z`` over the catalogue, (N, V).

    ``scores`` (N, V) are the generate logits. ``logits`` and ``items`` are parallel: each array of
    logits (N, K) scores the item codes (N, K), and is minus infinity where there is no item.
    """
    n_items = scores.shape[1]
    shares = torch.softmax(torch.cat([scores, *logits], dim=1), dim=1)  # (N, V + K)
    # The share of a code below the first item is 0, so adding it to item 0 changes nothing.
    index = (torch.cat(list(items), dim=1).long() - FIRST_ITEM).clamp(min=0)
    return shares[:, :n_items].scatter_add(1, index, shares[:, n_items:])
