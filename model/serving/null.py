"""The null engine: stands in for the scorer in benchmarks of the stream."""

from collections.abc import Sequence as Batch

from model.scorer import ANYTHING, ModelInfo, Score
from model.sequence import Sequence

_ANSWER = Score([("nothing", 1.0)], [("none", 1.0)], {"cart": 0.0, "buy": 0.0}, "full")


class NullScorer:
    """Returns the same score for every sequence, at almost no cost."""

    info = ModelInfo("null", "0" * 12, "cpu", horizon_s=1800)
    vocabulary = ANYTHING

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        """The same score for each sequence, empty ones included."""
        return [_ANSWER] * len(sequences)

    def sample(self, count: int) -> list[Sequence]:
        """Empty sequences."""
        return [Sequence((), (), (), 0)] * count
