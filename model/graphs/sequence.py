"""The graph that is served of a sequence network: frozen, with few passes over the catalogue."""

import math

import torch
from torch import Tensor, nn

from model.config import ArtifactConfig
from model.features import FIRST_ITEM
from model.graphs.scatter import add_at
from model.graphs.servable import Servable
from model.networks.sequence import SequenceModel
from model.outputs import Outputs

GROUPED_FROM = 8192  # items; below, one TopK over all of them is as fast
_NEVER = -1e30  # the score of a place that holds no item; finite, so that no NaN can come of it


class ServingGraph(Servable):
    """From four arrays of ``features.Padded`` to ``outputs.Outputs`` and more.

    Gives what ``network.forward`` gives, with fewer passes over the catalogue: what copy and rules
    say is added in place to the softmax of the scores, and only the best are divided by the
    normaliser. Softmax and then TopK, never ReduceLogSumExp: that one alone costs more than both.
    """

    inputs = ("items", "actions", "gaps", "lengths")  # of Padded, in the order of forward
    outputs = (*Outputs._fields, "probabilities", "user_vectors")
    vectors: Tensor  # (V + 2, D), by item code
    table: Tensor  # (D + 1, V'), by catalogue index, filled up to whole groups; biases last
    steps: Tensor  # (M,) from the first item of a group to each of its items
    places: Tensor  # (V + 2, M) the catalogue indices of each code's neighbours
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
            # With the bias in the multiply ONNX Runtime need not write it into B·V places first.
            self.register_buffer("table", torch.cat([table, filling]).T.contiguous())
            groups = (self.items + spare) // self.members
            self.register_buffer("steps", torch.arange(self.members) * groups)
            self.register_buffer("places", (network.companions - FIRST_ITEM).clamp(min=0))
            self.register_buffer("sums", network.shares.float().sum(-1))

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor
    ) -> tuple[Tensor, ...]:
        """Top items, their probabilities, category probabilities, intent logits; the extras."""
        newest = (lengths.long() - 1).clamp(min=0)[:, None]  # (B, 1)
        states, copies, rules = self.network.look(
            items, actions, gaps, self.look_up(items.long()), newest
        )
        state = states[:, 0]  # (B, D)
        query = nn.functional.pad(self.network.generate(state), (0, 1), value=1.0)  # (B, D + 1)
        scores = query @ self.columns()  # (B, V')
        shares, total = self._share(scores, copies[:, 0], rules[:, :, 0], items.long())
        values, top_items = self._top(shares)
        categories = torch.softmax(self.network.category(state), dim=1)
        intents = self.network.intent(state)
        whole = shares[:, : self.items] / total
        return top_items, values / total, categories, intents, whole, query[:, :-1]

    def look_up(self, codes: Tensor) -> Tensor:
        """The vectors (B, L, D) of item codes (B, L)."""
        return self.vectors[codes]

    def columns(self) -> Tensor:
        """What a query and a 1 are multiplied by, (D + 1, V')."""
        return self.table

    def rules(self, weights: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """The weights (B, E, L) of the rules of codes (B, L), and the rows they weigh.

        A row (B, E, L, M) has the share of each neighbour, and ``sums`` has what is in a row.
        """
        return weights, self.network.shares[:, codes].transpose(0, 1).to(weights.dtype)

    def _share(
        self, scores: Tensor, copies: Tensor, rules: Tensor, codes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """``experts.join`` but for a common divisor: shares (B, V') and that divisor (B, 1).

        Of scores (B, V'), copy logits (B, L), rule logits (B, E, L) and the window's codes (B, L).
        """
        shares = torch.softmax(scores, dim=1)
        # Any item tells the softmax's normaliser, e^score / share; unit vectors keep the scores
        # close enough together that no share vanishes. No logarithm: ONNX Runtime's has other
        # last bits at the end of an array than within.
        copied = torch.exp(copies - scores[:, :1]) * shares[:, :1]  # (B, L)
        ruled = torch.exp(rules - scores[:, :1, None]) * shares[:, :1, None]  # (B, E, L)
        ruled, rows = self.rules(ruled, codes)
        told = (ruled[..., None] * rows).sum(1)  # (B, L, M)
        window = (codes - FIRST_ITEM).clamp(min=0)  # nothing to copy: adds 0 to item 0
        shares = add_at(shares, window, copied)
        shares = add_at(shares, self.places[codes].long(), told)
        # Summed one after another: ReduceSum adds in an order that depends on the padding.
        given = copied + (ruled * self.sums[:, codes].transpose(0, 1)).sum(1)  # (B, L)
        return shares, 1 + torch.cumsum(given, dim=1)[:, -1:]

    def _top(self, scores: Tensor) -> tuple[Tensor, Tensor]:
        """The largest scores and their columns, (B, K) each.

        Each is in one of the K groups with the largest maxima, so that only those are sorted.
        """
        if self.members == 1:
            return torch.topk(scores, self.count, dim=1)
        groups = scores.shape[1] // self.members
        maxima = scores.view(-1, self.members, groups).amax(dim=1)  # (B, G)
        _, best = torch.topk(maxima, self.count, dim=1)
        columns = (best[:, :, None] + self.steps).flatten(1)  # (B, K * M)
        values, place = torch.topk(scores.gather(1, columns), self.count, dim=1)
        return values, columns.gather(1, place)


def _members(items: int, count: int) -> int:
    """Items in a group: the power of two where both sorts, V/M and K·M long, are short."""
    return 1 if items < GROUPED_FROM else 1 << round(math.log2(math.sqrt(items / count)))
