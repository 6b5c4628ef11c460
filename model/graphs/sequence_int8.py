"""The graph of a shrunken artifact: that of a sequence network, its largest tables in bytes."""

from typing import NamedTuple

import torch
from torch import Tensor

from model.config import ArtifactConfig
from model.features import FIRST_ITEM
from model.graphs.sequence import ServingGraph
from model.networks.sequence import SequenceModel

SIGNED, UNSIGNED = 127, 255  # the largest codes
SHORT_CODES = 1 << 16  # neighbours in a smaller catalogue fit two bytes


class Rows(NamedTuple):
    """A table whose rows stand as whole numbers, each row with a unit of its own."""

    codes: Tensor  # (..., V, N) int8, or uint8 for what is never negative
    units: Tensor  # (..., V, 1) float32: what a code of 1 is worth

    @classmethod
    def of(cls, table: Tensor) -> "Rows":
        """Round to the nearest; the largest number of a row is kept, to the last bits of it."""
        table = table.detach().float()
        signed = bool((table < 0).any())
        most = SIGNED if signed else UNSIGNED
        largest = table.abs().amax(dim=-1, keepdim=True)
        units = torch.where(largest > 0, largest, torch.ones_like(largest)) / most
        codes = torch.round(table / units).clamp(-most, most)
        return cls(codes.to(torch.int8 if signed else torch.uint8), units)


class SmallGraph(ServingGraph):
    """As ``ServingGraph``, with item vectors and rules of one byte a number.

    What is looked up becomes float32 once it is looked up. What is multiplied becomes so when the
    graph is loaded, for ONNX Runtime works out then what depends on no input: so a score costs the
    same multiply, and has its bits whatever the batch mates.
    """

    vectors: Tensor  # (V + 2, D) codes; the table is made of them, too
    units: Tensor  # (V + 2, 1) of the vectors
    bias: Tensor  # (V', 1)
    shares: Tensor  # (E, V + 2, M) codes
    share_units: Tensor  # (E, V + 2)

    def __init__(self, network: SequenceModel, config: ArtifactConfig) -> None:
        super().__init__(network, config)
        bias = self.table[-1:].T.contiguous()
        vectors, shares = Rows.of(self.vectors), Rows.of(network.shares)
        del self.table
        self.vectors = vectors.codes
        self.register_buffer("units", vectors.units)
        self.register_buffer("bias", bias)
        self.register_buffer("shares", shares.codes)
        self.register_buffer("share_units", shares.units[..., 0])
        self.sums = shares.codes.float().sum(-1)  # or a rule's row would not sum to its weight
        if network.config.items <= SHORT_CODES:
            self.places = self.places.to(torch.uint16)

    def look_up(self, codes: Tensor) -> Tensor:
        """See ``ServingGraph``."""
        return self.vectors[codes].float() * self.units[codes]

    def columns(self) -> Tensor:
        """See ``ServingGraph``."""
        vectors = (self.vectors.float() * self.units)[FIRST_ITEM:]
        spare = len(self.bias) - self.items
        filled = torch.nn.functional.pad(vectors, (0, 0, 0, spare))
        return torch.cat([filled, self.bias], dim=1).T

    def rules(self, weights: Tensor, codes: Tensor) -> tuple[Tensor, Tensor]:
        """See ``ServingGraph``; the unit of a row goes to its weight, which costs less."""
        weights = weights * self.share_units[:, codes].transpose(0, 1)
        return weights, self.shares[:, codes].transpose(0, 1).to(weights.dtype)
