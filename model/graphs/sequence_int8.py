"""The graph of a shrunken artifact: a sequence network whose largest tables are 8-bit."""

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
    """A table quantised by rows: integer codes, and a scale for each row."""

    codes: Tensor  # (..., V, N) int8, or uint8 if the table has no negative values
    units: Tensor  # (..., V, 1) float32: the value of a code of 1

    @classmethod
    def of(cls, table: Tensor) -> "Rows":
        """Round to the nearest code; a row's largest value is kept up to its last bits."""
        table = table.detach().float()
        signed = bool((table < 0).any())
        most = SIGNED if signed else UNSIGNED
        largest = table.abs().amax(dim=-1, keepdim=True)
        units = torch.where(largest > 0, largest, torch.ones_like(largest)) / most
        codes = torch.round(table / units).clamp(-most, most)
        return cls(codes.to(torch.int8 if signed else torch.uint8), units)


class SmallGraph(ServingGraph):
    """A ``ServingGraph`` whose item vectors and rules take one byte per number.

    Rows that are looked up become float32 after the look-up. The matrix becomes float32 when the
    graph is loaded, since ONNX Runtime folds constants then: so a score costs the same multiply,
    and its bits do not depend on the rest of the batch.
    """

    tables = ()
    vectors: Tensor  # (V + 2, D) codes; the table is made from them, too
    units: Tensor  # (V + 2, 1) of the vectors
    bias: Tensor  # (V', 1)
    shares: Tensor  # (E, V + 2, M) codes
    share_units: Tensor  # (E, V + 2)

    def __init__(self, network: SequenceModel, config: ArtifactConfig) -> None:
        super().__init__(network, config)
        bias = self.table[-1:].T.contiguous()
        vectors, shares = Rows.of(self.vectors), Rows.of(network.shares)
        del self.table, self.neighbour_shares
        self.vectors = vectors.codes
        self.register_buffer("units", vectors.units)
        self.register_buffer("bias", bias)
        self.register_buffer("shares", shares.codes)
        self.register_buffer("share_units", shares.units[..., 0])
        self.sums = shares.codes.float().sum(-1)  # of the codes, so a row sums to its weight
        if network.config.items <= SHORT_CODES:
            self.neighbours = self.neighbours.to(torch.uint16)

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
        """See ``ServingGraph``; the unit of a row is applied to its weight, which costs less."""
        weights = weights * self.share_units[:, codes].transpose(0, 1)
        return weights, self.shares[:, codes].transpose(0, 1).to(weights.dtype)
