"""The results of a training: how good its weights are, and what they say of held-out events."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.evaluation.metrics import mrr_at, recall_at

CUTOFF = 20


class Validation(NamedTuple):
    """How good the weights are on held-out events."""

    recall: float  # at 20
    mrr: float  # at 20

    @classmethod
    def of(cls, ranks: npt.NDArray[np.int64]) -> "Validation":
        """Of ranks that count from 1; 0 for what is not ranked."""
        return cls(recall_at(ranks, CUTOFF), mrr_at(ranks, CUTOFF))

    @property
    def total(self) -> float:
        """One number to compare by, the geometric mean: a tenth more of either is worth as much."""
        return math.sqrt(self.recall * self.mrr)


class Predictions(NamedTuple):
    """What the network says of held-out events, and what happened."""

    ranks: npt.NDArray[np.int64]  # (N,) of the next item, 0 if it is not in the catalogue
    intent_logits: npt.NDArray[np.float32]  # (M, A)
    intents: npt.NDArray[np.int8]  # (M, A) 1, 0, or CENSORED
