"""The graphs of the torch engine: the answers alone, without the whole distribution.

They are not exported. Equal probabilities are ordered by item, as in ONNX Runtime's TopK, which
torch's does not promise.
"""

import torch
from torch import Tensor

from model.config import BFLOAT16, ArtifactConfig
from model.features import FIRST_ITEM
from model.graphs.mlp import MlpGraph
from model.graphs.path import PathGraph
from model.graphs.sequence import ServingGraph
from model.graphs.slabs import Added, Catalogue, best, top
from model.graphs.text import TextGraph
from model.networks.sequence import SequenceModel
from model.networks.text import Last, TextModel
from model.outputs import Outputs

_LOWEST = -1e30  # below every logit; finite, so that a user with nothing to copy gets no NaN


class SlabGraph(ServingGraph):
    """A ``ServingGraph`` that reads the catalogue slab by slab, and has no ``probabilities``."""

    outputs = (*Outputs._fields, "user_vectors")
    tables = ()
    biases: Tensor  # (V,) by catalogue index
    rough: Tensor | None  # (V, D) in bfloat16, see slabs.Catalogue

    def __init__(self, network: SequenceModel, config: ArtifactConfig) -> None:
        super().__init__(network, config)
        del self.table, self.steps, self.sums  # a slab is cut from the vectors
        biases = network.out.bias.detach()[FIRST_ITEM:].clone()
        self.register_buffer("biases", biases)
        self.register_buffer("rough", _rough(self.vectors, config))

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor
    ) -> tuple[Tensor, ...]:
        """Top items, their probabilities, category probabilities, intent logits; extras."""
        states, copies, rules = self.read(items, actions, gaps, lengths)
        state = states[:, 0]  # (B, D)
        query = self.network.generate(state)
        added = self._added(copies[:, 0], rules[:, :, 0], items.long())
        catalogue = Catalogue(self.vectors[FIRST_ITEM:], self.biases, self.rough)
        top_items, top_probs = best(query, catalogue, added, self.count)
        categories = torch.softmax(self.network.category(state), dim=1)
        return top_items, top_probs, categories, self.network.intent(state), query

    def _added(self, copies: Tensor, rules: Tensor, codes: Tensor) -> Added:
        """What the logits of copies (B, L) and rules (B, E, L) of these codes (B, L) add."""
        logits = torch.cat([copies[:, None], rules], dim=1)  # (B, 1 + E, L)
        highest = logits.amax(dim=(1, 2), keepdim=True).clamp(min=_LOWEST)
        masses = torch.exp(logits - highest)
        ruled, rows = self.rules(masses[:, 1:], codes)
        shared = (ruled[..., None] * rows).sum(1)  # (B, L, M)
        near = self.neighbours[codes].long() + FIRST_ITEM
        named = torch.cat([codes, near.flatten(1)], dim=1)
        weights = torch.cat([masses[:, 0], shared.flatten(1)], dim=1)
        return Added.of(named, weights, highest[:, 0])


class TextSlabGraph(TextGraph):
    """A ``TextGraph`` that reads the catalogue slab by slab, and has no ``probabilities``."""

    outputs = (*Outputs._fields, "user_vectors")
    rough: Tensor | None  # (V, D) in bfloat16, see slabs.Catalogue

    def __init__(self, network: TextModel, config: ArtifactConfig) -> None:
        super().__init__(network, config)
        self.register_buffer("rough", _rough(network.item_vectors, config))

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor
    ) -> tuple[Tensor, ...]:
        """Top items, their probabilities, category probabilities, intent logits; extras."""
        network = self.network
        last = Last.of(items, actions, gaps, lengths, network.config.last_items)
        states = network.read(last)
        query = network.generate(states)
        copies = network.copies(states, last)
        highest = copies.amax(dim=1, keepdim=True).clamp(min=_LOWEST)
        added = Added.of(last.items, torch.exp(copies - highest), highest)
        catalogue = Catalogue(network.item_vectors[FIRST_ITEM:], network.bias, self.rough)
        top_items, top_probs = best(query, catalogue, added, self.count)
        categories = torch.softmax(network.category(states), dim=1)
        return top_items, top_probs, categories, network.intent(states), query


class CandidatesGraph(MlpGraph):
    """An ``MlpGraph`` of the candidates alone, which has no ``probabilities``."""

    outputs = (*Outputs._fields, "user_vectors")

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor, hours: Tensor
    ) -> tuple[Tensor, ...]:
        """Top items, their probabilities, category probabilities, intent logits; extras."""
        codes, shares, intents, vectors = self.share(items, actions, gaps, lengths, hours)
        return *self.best(codes, shares), intents, vectors


class OrderedPathGraph(PathGraph):
    """A ``PathGraph`` that orders equals by item: popularities often are equal.

    It has the whole distribution, B × V, as its probabilities are products of tables.
    """

    def top(self, whole: Tensor) -> tuple[Tensor, Tensor]:
        """See ``PathGraph``."""
        top_items, top_probs = top(whole, self.count)
        return top_probs, top_items


def _rough(vectors: Tensor, config: ArtifactConfig) -> Tensor | None:
    """The vectors (V + 2, D) by catalogue index in bfloat16, if the artifact says so."""
    if config.catalogue_end != BFLOAT16:
        return None
    return vectors.detach()[FIRST_ITEM:].to(torch.bfloat16)
