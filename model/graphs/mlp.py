"""The graph of the click-through network: proposes candidates and scores only those."""

from typing import ClassVar

import torch
from torch import Tensor

from model.config import ArtifactConfig
from model.features import FIRST_ITEM
from model.graphs.scatter import add_at
from model.graphs.servable import Servable
from model.networks.candidates import NOBODY, once
from model.networks.mlp import MlpModel
from model.outputs import Outputs

_NEVER = -1e30  # finite, so that it cannot lead to NaN
_NO_CANDIDATE = -1.0


class MlpGraph(Servable):
    """Maps the arrays of ``features.Padded`` to ``outputs.Outputs`` and the extra outputs.

    The probabilities of the candidates are normalised to sum to one; all other items have 0.
    """

    inputs = ("items", "actions", "gaps", "lengths", "hours")
    outputs: ClassVar[tuple[str, ...]] = (*Outputs._fields, "probabilities", "user_vectors")
    vectors: Tensor  # (V + 2, D), by item code
    earlier: Tensor  # (N, N), see candidates.once

    def __init__(self, network: MlpModel, config: ArtifactConfig) -> None:
        super().__init__()
        self.network = network
        shape = network.config
        self.items, self.categories = shape.items, shape.categories
        self.count = min(config.top_items, self.items)
        self.width = shape.max_length
        n_candidates = shape.popular + shape.recent * shape.neighbours + self.width
        everyone = torch.ones(n_candidates, n_candidates, dtype=torch.bool)
        with torch.no_grad():
            self.register_buffer("vectors", network.item_vectors().detach().clone())
            self.register_buffer("earlier", torch.tril(everyone, diagonal=-1))
        self.eval()

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor, hours: Tensor
    ) -> tuple[Tensor, ...]:
        """Top items, their probabilities, category probabilities, intent logits; extras."""
        codes, shares, intents, vectors = self.share(items, actions, gaps, lengths, hours)
        best = self.best(codes, shares)
        indices = (codes - FIRST_ITEM).clamp(min=0)  # no candidate: adds 0 to item 0
        whole = add_at(shares.new_zeros(shares.shape[0], self.items), indices, shares)
        return *best, intents, whole, vectors

    def best(self, codes: Tensor, shares: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Top items, their probabilities, category probabilities from candidates (B, N)."""
        indices = (codes - FIRST_ITEM).clamp(min=0)
        real = codes != NOBODY
        top_probs, best = torch.topk(shares.masked_fill(~real, _NO_CANDIDATE), self.count, dim=1)
        top_items = indices.gather(1, best)
        attributes = self.network.item_attribute[codes]
        nothing = shares.new_zeros(shares.shape[0], self.categories + 1)
        by_category = add_at(nothing, attributes, shares)
        left = 1 - by_category[:, :1]  # leaves out items without a category
        categories = by_category[:, 1:] / left.clamp(min=torch.finfo(shares.dtype).tiny)
        return top_items, top_probs, categories

    def share(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor, hours: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Candidate codes and their shares (B, N), intent logits (B, A), user vectors (B, D)."""
        # Always the same width: a sum over more padding may add in another order.
        items, actions, gaps = (widen(codes, self.width) for codes in (items, actions, gaps))
        network = self.network
        user = network.look(items, actions, gaps, lengths, hours, self.vectors[items.long()])
        codes = once(network.propose(items, lengths), self.earlier)
        log_chances = network.score(user, codes, self.vectors[codes], items, lengths)[..., 0]
        shares = torch.softmax(log_chances.masked_fill(codes == NOBODY, _NEVER), dim=1)
        return codes, shares, network.intent(user.context), user.recent


def widen(codes: Tensor, width: int) -> Tensor:
    """Pad codes on the right to (B, width)."""
    return torch.cat([codes, codes.new_zeros(codes.shape[0], width)], dim=1)[:, :width]
