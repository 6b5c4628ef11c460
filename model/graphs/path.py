"""The graph of the session HMM: the stage of the session, and the items that fit its next step."""

import torch
from torch import Tensor

from model.config import ArtifactConfig
from model.features import FIRST_ITEM
from model.graphs.mlp import widen
from model.graphs.scatter import add_at
from model.graphs.servable import Servable
from model.networks.candidates import decays
from model.networks.path import OTHER, OVER_FROM, SAME_CATEGORY, SAME_ITEM, PathModel
from model.outputs import Outputs
from model.visits import OUTPUTS, RELATIONS

RECENCY_DECAY = 0.8  # of an item's weight among those of the session, per step back
NEARLY = 0.1  # nats per action: a session that is less surprising by less counts in part


class PathGraph(Servable):
    """Maps four arrays of ``features.Padded`` to ``outputs.Outputs`` and the session outputs.

    ``probabilities`` come from the next step. The probability of "same item" is divided among the
    session's items by recency, that of "same category" among that category's items by popularity,
    and that of "other" among all items by popularity.
    """

    inputs = ("items", "actions", "gaps", "lengths")
    outputs = (*Outputs._fields, "probabilities", "user_vectors", *OUTPUTS)
    by_category: Tensor  # (C + 1,) each category's share of the counts, "none" first

    def __init__(self, network: PathModel, config: ArtifactConfig) -> None:
        super().__init__()
        self.network = network
        self.count = min(config.top_items, network.config.items)
        self.width = network.config.max_length
        attributes = network.item_attribute[FIRST_ITEM:]
        shares = torch.zeros(network.config.categories + 1)
        self.register_buffer("by_category", shares.index_add(0, attributes, network.popularity))
        self.eval()

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor
    ) -> tuple[Tensor, ...]:
        """Top items, their probabilities, category probabilities, intent logits; extras."""
        # Always the same width: the forward algorithm is unrolled.
        items, actions, gaps = (widen(codes, self.width) for codes in (items, actions, gaps))
        observed = self.network.observe(items, actions, gaps, lengths)
        belief = self.network.believe(observed)
        steps, ends = self.network.expect(belief.stages)
        features = self.network.describe(actions, lengths, observed.newest, belief.stages, ends)
        weights = self._weights(items, lengths, observed.newest)
        whole, categories = self._items(steps, items, lengths, weights)
        top_probs, top_items = self.top(whole)
        stages = belief.stages[:, : len(self.network.start) - 1]
        since = gaps.gather(1, (lengths.long() - 1).clamp(min=0)[:, None])[:, 0]
        ends = ends.masked_fill(since >= OVER_FROM, 1.0)
        unusual = self._unusual(belief.surprise)
        intents = self.network.intent(features)
        visit = torch.stack([ends, unusual], dim=1)
        return top_items, top_probs, categories, intents, whole, features, stages, steps, visit

    def top(self, whole: Tensor) -> tuple[Tensor, Tensor]:
        """The largest probabilities and their items, (B, K) each."""
        return torch.topk(whole, self.count, dim=1)

    def _unusual(self, surprise: Tensor) -> Tensor:
        """The share of the training sessions that were less surprising (B,), without a jump.

        Short sessions are alike, so that many quantiles are one number; compared exactly with it,
        the last bit of the surprise, which engines round differently, would move the share by all
        of them.
        """
        below = ((surprise[:, None] - self.network.surprises) / NEARLY).clamp(0.0, 1.0)
        return below.cumsum(dim=1)[:, -1] / below.shape[1]  # a running sum: see _weights

    def _weights(self, items: Tensor, lengths: Tensor, newest: Tensor) -> Tensor:
        """Each position's share of the "same item" step (B, L); a row sums to 1, or is all 0."""
        back = lengths[:, None] - 1 - torch.arange(self.width, device=items.device)
        weights = decays(back, self.width, RECENCY_DECAY) * (newest & (items >= FIRST_ITEM))
        # A running sum: ReduceSum adds the weights of a batch of one in another order.
        total = weights.cumsum(dim=1)[:, -1:]
        return weights / total.clamp(min=torch.finfo(weights.dtype).tiny)

    def _items(
        self, steps: Tensor, items: Tensor, lengths: Tensor, weights: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The distributions over items (B, V) and over categories (B, C)."""
        network = self.network
        chances = steps.view(-1, network.config.actions, len(RELATIONS))
        by_relation = chances[:, 0]
        for action in range(1, network.config.actions):
            by_relation = by_relation + chances[:, action]
        codes = items.long()
        last = network.item_attribute[codes.gather(1, (lengths.long() - 1).clamp(min=0)[:, None])]
        # Without a known item there is nothing to return to, and without a category of the last
        # item there is no shelf: such a step may then lead to any item.
        has_items = (weights.amax(dim=1, keepdim=True) > 0).float()
        has_shelf = (last > 0).float()
        again = by_relation[:, SAME_ITEM, None] * has_items  # (B, 1)
        alike = by_relation[:, SAME_CATEGORY, None] * has_shelf
        other = by_relation[:, OTHER, None] + by_relation[:, SAME_ITEM, None] * (1 - has_items)
        other = other + by_relation[:, SAME_CATEGORY, None] * (1 - has_shelf)

        on_shelf = (network.item_attribute[FIRST_ITEM:] == last) * network.on_shelf  # (B, V)
        whole = other * network.popularity + alike * on_shelf
        whole = add_at(whole, (codes - FIRST_ITEM).clamp(min=0), again * weights)
        shelves = torch.arange(len(self.by_category), device=items.device)
        by_category = other * self.by_category + alike * (shelves == last)
        by_category = add_at(by_category, network.item_attribute[codes], again * weights)
        left = (1 - by_category[:, :1]).clamp(min=torch.finfo(by_category.dtype).tiny)
        return whole, by_category[:, 1:] / left
