"""The results of a training run: validation figures, and predictions for held-out events."""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.evaluation.metrics import mrr_at, recall_at

CUTOFF = 20


class Validation(NamedTuple):
    """The quality of the weights on held-out events."""

    recall: float  # at 20
    mrr: float  # at 20

    @classmethod
    def of(cls, ranks: npt.NDArray[np.int64]) -> "Validation":
        """Compute the figures of ranks from 1; a rank of 0 means not ranked."""
        return cls(recall_at(ranks, CUTOFF), mrr_at(ranks, CUTOFF))

    @property
    def total(self) -> float:
        """The geometric mean, one number to compare by: 10% more of either counts the same."""
        return math.sqrt(self.recall * self.mrr)


class Predictions(NamedTuple):
    """Predictions for held-out events, with their labels."""

    ranks: npt.NDArray[np.int64]  # (N,) of the next item, 0 if it is not in the catalogue
    intent_logits: npt.NDArray[np.float32]  # (M, A)
    intents: npt.NDArray[np.int8]  # (M, A) 1, 0, or CENSORED
