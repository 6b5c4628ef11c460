"""The serving graph of a sequence network: frozen, with few passes over the catalogue."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from model.config import ArtifactConfig
from model.features import FIRST_ITEM
from model.graphs.scatter import add_at
from model.graphs.servable import Servable
from model.networks.sequence import SequenceModel, States
from model.outputs import Outputs

GROUPED_FROM = 8192  # items; below this, one TopK over all of them is as fast
_NEVER = -1e30  # the score of a column without an item; finite, so that it cannot lead to NaN


class ServingGraph(Servable):
    """Maps four arrays of ``features.Padded`` to ``outputs.Outputs`` and the extra outputs.

    Computes what ``network.forward`` does, with fewer passes over the catalogue: copy and rules
    are added in place to the softmax of the scores, and only the top items are divided by the
    normaliser. Softmax and TopK, never ReduceLogSumExp, which alone costs more than both.
    """

    inputs = ("items", "actions", "gaps", "lengths")  # of Padded, in the order of forward
    # The last ones are what the native core starts from (model.serving.native).
    outputs: ClassVar[tuple[str, ...]] = (
        *Outputs._fields,
        "probabilities",
        "user_vectors",
        "copy_logits",
        "rule_logits",
    )
    tables: ClassVar[tuple[str, ...]] = ("table", "neighbours", "neighbour_shares")
    vectors: Tensor  # (V + 2, D), by item code
    table: Tensor  # (D + 1, V'), by catalogue index, padded to whole groups; biases last
    steps: Tensor  # (M,) from the first item of a group to each of its items
    neighbours: Tensor  # (V + 2, M) the catalogue indices of each code's neighbours
    neighbour_shares: Tensor  # (V + 2, E, M)
    sums: Tensor  # (E, V + 2) of the neighbours' shares

    def __init__(self, network: SequenceModel, config: ArtifactConfig) -> None:
        super().__init__()
        self.network = network
        self.items = network.config.items
        self.count = min(config.top_items, self.items)
        self.members = _members(self.items, self.count)
        spare = -self.items % self.members
        with torch.no_grad():
            vectors = network.item_vectors().detach()
            table = torch.cat([vectors, network.out.bias[:, None]], dim=1)[FIRST_ITEM:]
            filling = torch.zeros(spare, table.shape[1])
            filling[:, -1] = _NEVER
            self.register_buffer("vectors", vectors.clone())
            # With the bias in the multiply, ONNX Runtime need not fill B·V values with it first.
            self.register_buffer("table", torch.cat([table, filling]).T.contiguous())
            groups = (self.items + spare) // self.members
            self.register_buffer("steps", torch.arange(self.members) * groups)
            self.register_buffer("neighbours", (network.companions - FIRST_ITEM).clamp(min=0))
            self.register_buffer("neighbour_shares", network.shares.transpose(0, 1).contiguous())
            self.register_buffer("sums", network.shares.float().sum(-1))

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor
    ) -> tuple[Tensor, ...]:
        """Top items, their probabilities, category probabilities, intent logits; extras."""
        states, copies, rules = self.read(items, actions, gaps, lengths)
        state = states[:, 0]  # (B, D)
        query = nn.functional.pad(self.network.generate(state), (0, 1), value=1.0)  # (B, D + 1)
        scores = query @ self.columns()  # (B, V')
        copies, rules = copies[:, 0], rules[:, :, 0]
        shares, total = self._share(scores, copies, rules, items.long())
        values, top_items = self._top(shares)
        categories = torch.softmax(self.network.category(state), dim=1)
        intents = self.network.intent(state)
        whole = shares[:, : self.items] / total
        return top_items, values / total, categories, intents, whole, query[:, :-1], copies, rules

    def read(self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor) -> States:
        """The network's states at the newest action of each sequence, (B, 1, ...)."""
        newest = (lengths.long() - 1).clamp(min=0)[:, None]  # (B, 1)
        return self.network.look(items, actions, gaps, self.look_up(items.long()), newest)

    def look_up(self, codes: Tensor) -> Tensor:
        """The vectors (B, L, D) of item codes (B, L)."""
        return self.vectors[codes]

    def columns(self) -> Tensor:
        """The matrix that a query with a 1 appended is multiplied by, (D + 1, V')."""
        return self.table

    def rules(self, weights: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The weights (B, E, L) of the rules of codes (B, L), and the rows they multiply.

        A row (B, E, L, M) has the share of each neighbour; ``sums`` holds the sum of each row.
        """
        return weights, self.neighbour_shares[codes].transpose(1, 2).to(weights.dtype)

    def _share(
        self, scores: Tensor, copies: Tensor, rules: Tensor, codes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``experts.join`` before normalising: shares (B, V') and their divisor (B, 1).

        Takes scores (B, V'), copy and rule logits (B, L), (B, E, L), the window's codes (B, L).
        """
        shares = torch.softmax(scores, dim=1)
        # The softmax's normaliser is e^score / share of any item; unit vectors keep the scores
        # close enough that no share underflows. No logarithm: ONNX Runtime's has other last bits
        # at the end of an array than within.
        copied = torch.exp(copies - scores[:, :1]) * shares[:, :1]  # (B, L)
        ruled = torch.exp(rules - scores[:, :1, None]) * shares[:, :1, None]  # (B, E, L)
        ruled, rows = self.rules(ruled, codes)
        added = (ruled[..., None] * rows).sum(1)  # (B, L, M)
        window = (codes - FIRST_ITEM).clamp(min=0)  # nothing to copy: adds 0 to item 0
        shares = add_at(shares, window, copied)
        shares = add_at(shares, self.neighbours[codes].long(), added)
        # A running sum: ReduceSum adds in an order that depends on the padding.
        given = copied + (ruled * self.sums[:, codes].transpose(0, 1)).sum(1)  # (B, L)
        return shares, 1 + torch.cumsum(given, dim=1)[:, -1:]

    def _top(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The largest scores and their columns, (B, K) each.

        They all lie in the K groups with the largest maxima, so only those are sorted.
        """
        if self.members == 1:
            return torch.topk(scores, self.count, dim=1)
        groups = scores.shape[1] // self.members
        maxima = scores.view(-1, self.members, groups).amax(dim=1)  # (B, G)
        _, best = torch.topk(maxima, self.count, dim=1)
        columns = (best[:, :, None] + self.steps).flatten(1)  # (B, K * M)
        values, best = torch.topk(scores.gather(1, columns), self.count, dim=1)
        return values, columns.gather(1, best)


def _members(items: int, count: int) -> int:
    """Items per group: the power of two that keeps both sorts, of V/M and K·M values, short."""
    return 1 if items < GROUPED_FROM else 1 << round(math.log2(math.sqrt(items / count)))
