"""The outputs of a graph for a batch, the same for every engine."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Reals = npt.NDArray[np.float32]


class Outputs(NamedTuple):
    """The outputs every graph has, for B sequences, in the order of the graph."""

    top_items: npt.NDArray[np.int64]  # (B, K) indices into the catalogue, best first
    top_probs: Reals  # (B, K)
    category_probs: Reals  # (B, C)
    intent_logits: Reals  # (B, len(config.intents))

    def take(self, rows: list[int]) -> "Outputs":
        """The outputs of these rows."""
        return Outputs(
            self.top_items[rows],
            self.top_probs[rows],
            self.category_probs[rows],
            self.intent_logits[rows],
        )
