"""The experts for the next item: what each one says, and how they become one distribution.

*Generate* may name any item of the catalogue, *copy* any item of the window, and *rules* what was
seen together with the items of the window. Their logits share one normaliser (CopyNet: Gu, Lu, Li
and Li, "Incorporating Copying Mechanism in Sequence-to-Sequence Learning", ACL 2016), so the gate
between them is learned without being written down.
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
MOST_SUPPORT = 14  # the bucket of row sums of 2^11 and more


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


class Rules(nn.Module):
    """What goes with the items of the window, position j seen from position t, by E ways to count.

    ``r_tj = distance[t−j] + depth[t] + g·h_t + support[j] + 3``, where support says how much was
    counted for the item at j: what goes with a rare one is known badly. Position j shares its
    ``exp r_tj`` out among the neighbours of its item, as
    ``model.training.sequence.co_occurrence`` counted them.
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
        """Rule logits (B, E, T, L), minus infinity where there is nothing to go by.

        ``states`` (B, T, D) stand at ``at`` (B, T), else at all positions; ``items`` (B, L) is
        the window, ``support`` (B, E, L) the buckets of ``support_of``.
        """
        length, most = items.shape[1], len(self.distance)
        distance = distances(at, length, items.device)  # (1 or B, T, L)
        place = self.depth[depths(at, length, most, items.device)]  # (1 or B, T, E)
        ways = torch.arange(support.shape[1], device=items.device)[:, None]
        logits: Tensor = (
            (self.gate(states) + place).movedim(2, 1)[..., None]  # (B, E, T, 1)
            + self.distance[distance.clamp(min=0)].movedim(3, 1)  # (1 or B, E, T, L)
            + self.support[support, ways][:, :, None]  # (B, E, 1, L)
        )
        known = (support > 0) & (items >= FIRST_ITEM)[:, None]  # (B, E, L)
        usable = (distance >= 0)[:, None] & known[:, :, None]
        return logits.masked_fill(~usable, -torch.inf)


def support_of(sums: Tensor) -> Tensor:
    """The bucket of row sums of counts: 0 for none, else by powers of two from 1/2 on."""
    power = torch.log2(sums.clamp(min=0.25)).long() + 3
    return torch.where(sums > 0, power.clamp(1, MOST_SUPPORT), 0)


def join(scores: Tensor, logits: Sequence[Tensor], items: Sequence[Tensor]) -> Tensor:
    """``p(y) = (exp s_y + Σ_{k: i_k = y} exp l_k) / Z`` over the catalogue, (N, V).

    ``scores`` (N, V) are the generate logits. Each of ``logits`` (N, K) belongs to the item codes
    at the same place of ``items`` (N, K), and is minus infinity where there is nothing.
    """
    n_items = scores.shape[1]
    shares = torch.softmax(torch.cat([scores, *logits], dim=1), dim=1)  # (N, V + K)
    # A code below the first item has nothing to get: it adds 0 to item 0.
    index = (torch.cat(list(items), dim=1).long() - FIRST_ITEM).clamp(min=0)
    return shares[:, :n_items].scatter_add(1, index, shares[:, n_items:])
