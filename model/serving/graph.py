"""The graph that is served: a frozen network, and the best items picked without a full sort."""

import math

import torch
from torch import Tensor, nn

from model.config import ArtifactConfig
from model.networks.experts import FIRST_ITEM
from model.networks.transformer import TransformerModel

GROUPED_FROM = 8192  # items; below, one TopK over all of them is as fast
_NEVER = -1e30  # the score of a place that holds no item; finite, so that no NaN can come of it
_NO_CANDIDATE = -1.0


class ServingGraph(nn.Module):
    """From four arrays of ``features.Padded`` to the four of ``answers.Outputs``.

    Gives what ``network.forward`` gives, but adds the copies to the few items they concern:
    with them in one row with the scores, each batch would copy B·V numbers three times.
    Softmax and then TopK, never ReduceLogSumExp: that one alone costs more than both.
    """

    inputs = ("items", "actions", "gaps", "lengths")  # of Padded, in the order of forward
    vectors: Tensor  # (V + 2, D), by item code
    table: Tensor  # (D + 1, V'), by catalogue index, filled up to whole groups; biases last
    steps: Tensor  # (M,) from the first item of a group to each of its items

    def __init__(self, network: TransformerModel, config: ArtifactConfig) -> None:
        super().__init__()
        self.network = network
        items = network.config.items
        self.count = min(config.top_items, items)
        self.members = _members(items, self.count)
        spare = -items % self.members
        with torch.no_grad():
            vectors = network.item_vectors().detach()
            table = torch.cat([vectors, network.out.bias[:, None]], dim=1)[FIRST_ITEM:]
            filling = torch.zeros(spare, table.shape[1])
            filling[:, -1] = _NEVER
            self.register_buffer("vectors", vectors.clone())
            # With the bias in the multiply ONNX Runtime need not write it into B·V places first.
            self.register_buffer("table", torch.cat([table, filling]).T.contiguous())
            groups = (items + spare) // self.members
            self.register_buffer("steps", torch.arange(self.members) * groups)

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Top items, their probabilities, category probabilities, intent logits."""
        newest = (lengths.long() - 1).clamp(min=0)[:, None]  # (B, 1)
        states, copies = self.network._look(  # noqa: SLF001
            items, actions, gaps, self.vectors[items.long()], newest
        )
        state = states[:, 0]  # (B, D)
        query = nn.functional.pad(self.network.generate(state), (0, 1), value=1.0)  # (B, D + 1)
        scores = query @ self.table  # (B, V')
        top_items, top_probs = self._best(scores, copies[:, 0], items.long() - FIRST_ITEM)
        categories = torch.softmax(self.network.category(state), dim=1)
        return top_items, top_probs, categories, self.network.intent(state)

    def _best(self, scores: Tensor, copies: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
        """The best of ``experts.join``, from scores (B, V), copies (B, L) and window (B, L).

        Copies only add, and only to items of the window: so the best are among the best
        without copies and the window.
        """
        values, top = self._top(scores)  # (B, K)
        peak = torch.maximum(values[:, :1], copies.amax(dim=1, keepdim=True))  # (B, 1)
        # The softmax at the best item is e^(its score) / Z: the cheapest way to Z.
        share = torch.softmax(scores, dim=1).gather(1, top[:, :1])
        copied = torch.exp(copies - peak)  # (B, L)
        # Summed one after another: ReduceSum adds in an order that depends on the padding.
        all_copied = torch.cumsum(copied, dim=1)[:, -1:]
        total = torch.exp(values[:, :1] - peak) / share + all_copied

        real = window >= 0  # (B, L)
        same = (window[:, :, None] == window[:, None, :]).to(copied.dtype)  # (B, L, L)
        first = torch.tril(same, diagonal=-1).sum(dim=2) == 0
        own = torch.exp(scores.gather(1, window.clamp(min=0)) - peak)
        in_window = own + (same @ copied[:, :, None])[:, :, 0]
        seen = (top[:, :, None] == window[:, None, :]).any(dim=2)  # (B, K)
        candidates = torch.cat(
            [
                torch.exp(values - peak).masked_fill(seen, _NO_CANDIDATE),
                in_window.masked_fill(~(real & first), _NO_CANDIDATE),
            ],
            dim=1,
        )  # (B, K + L)
        best, place = torch.topk(candidates, self.count, dim=1)
        return torch.cat([top, window], dim=1).gather(1, place), best / total

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
