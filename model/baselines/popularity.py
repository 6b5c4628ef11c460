"""Popularity: what everybody acted on lately, the same for all; also the cold answer."""

from collections.abc import Sequence as Batch
from typing import TYPE_CHECKING

from model.artifact import CALIBRATION, Artifact
from model.calibration import Calibration
from model.scorer import ModelInfo, Score
from model.sequence import Sequence
from model.serving.answers import Answers

if TYPE_CHECKING:
    import polars as pl

HALF_LIFE_S = 7 * 86_400.0
PER_EVENT = 1_000  # counts are in thousandths of an event of today


def decayed_counts(frame: "pl.LazyFrame", now_ms: int, half_life_s: float) -> "pl.LazyFrame":
    """``item_id`` and ``count``: ``Σ 1000 · 2^−(age / half-life)`` over its events, rounded.

    An item that is in the log at all counts at least 1.
    """
    import polars as pl

    ages_s = (now_ms - pl.col("ts")).clip(lower_bound=0) / 1000
    weight = pl.lit(2.0).pow(-ages_s / half_life_s)
    count = (weight.sum() * PER_EVENT).round().cast(pl.Int64).clip(lower_bound=1)
    return frame.group_by("item_id").agg(count.alias("count"))


class PopularityScorer:
    """Gives everybody the artifact's cold answer, whatever they did."""

    def __init__(self, artifact: Artifact) -> None:
        calibration = Calibration.from_json(artifact.read_object(CALIBRATION))
        self._answer = Answers(artifact.read_catalogue(), calibration, artifact.config).cold
        self._info = artifact.info("cpu")._replace(name="popularity")

    @property
    def info(self) -> ModelInfo:
        """Who answers."""
        return self._info

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        """The same score for each."""
        return [self._answer] * len(sequences)
