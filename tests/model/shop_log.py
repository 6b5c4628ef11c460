"""Small logs, written as strings of items, for the evaluation tests."""

from collections.abc import Sequence as Batch

import numpy as np

from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.data.dataset import Histories, Period
from model.scorer import ANYTHING, ModelInfo, Score
from model.sequence import Sequence

CATALOGUE = Catalogue.from_names(["a", "b", "c"], ["x", "x", "y"], [4, 2, 2])
CONFIG = ArtifactConfig(max_length=3, horizon_s=10)
EVER = Period(-1, 1 << 60)


class Spy:
    """A scorer that gives every sequence the same score and records the sequences."""

    vocabulary = ANYTHING

    def __init__(self, items: str, name: str = "spy") -> None:
        self.info = ModelInfo(name, "1", "cpu", CONFIG.horizon_s)
        self.asked: list[Sequence] = []
        self.items = items

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        self.asked += sequences
        best = [(item, 1 / len(self.items)) for item in self.items]
        return [Score(best, [], {"cart": 0.25, "buy": 0.5}, "full") for _ in sequences]


def histories(*users: str) -> Histories:
    """Histories of users, given as strings of items (z is unknown); one click per second."""
    lengths = [len(user) for user in users]
    items = [CATALOGUE.index.get(item, -1) for user in users for item in user]
    return Histories(
        np.array(items, np.int32),
        np.zeros(len(items), np.int8),
        np.arange(len(items), dtype=np.int64) * 1000,
        np.cumsum([0, *lengths]),
    )
