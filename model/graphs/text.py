"""The graph of the text network: the network followed by TopK."""

from typing import ClassVar

import torch
from torch import Tensor

from model.config import ArtifactConfig
from model.graphs.servable import Servable
from model.networks.text import TextModel
from model.outputs import Outputs


class TextGraph(Servable):
    """Runs the network and picks the top items."""

    inputs = ("items", "actions", "gaps", "lengths")
    outputs: ClassVar[tuple[str, ...]] = (*Outputs._fields, "probabilities", "user_vectors")

    def __init__(self, network: TextModel, config: ArtifactConfig) -> None:
        super().__init__()
        self.network = network
        self.count = min(config.top_items, network.config.items)

    def forward(
        self, items: Tensor, actions: Tensor, gaps: Tensor, lengths: Tensor
    ) -> tuple[Tensor, ...]:
        """Top items, their probabilities, category probabilities, intent logits; extras."""
        shares, categories, intents, query = self.network(items, actions, gaps, lengths)
        top_probs, top_items = torch.topk(shares, self.count, dim=1)
        return top_items, top_probs, torch.softmax(categories, dim=1), intents, shares, query
