"""Popularity: what everybody acted on lately, the same for all; also the cold answer."""

from collections.abc import Sequence as Batch
from typing import TYPE_CHECKING

import numpy as np

from model.artifact.artifact import CALIBRATION, Artifact
from model.artifact.calibration import Calibration
from model.baselines.baseline import Floats, Ints, Prefixes, Ranked, first, is_seen, spans
from model.catalogue import HALF_LIFE_S, PER_EVENT, UNKNOWN
from model.scorer import ModelInfo, Score
from model.sequence import Sequence
from model.serving.answers import Answers

if TYPE_CHECKING:
    import polars as pl

    from model.data.dataset import Histories


def decayed_counts(frame: "pl.LazyFrame", now_ms: int, half_life_s: float) -> "pl.LazyFrame":
    """``item_id`` and ``count``: ``Σ 1000 · 2^−(age / half-life)`` over its events, rounded.

    An item that is in the log at all counts at least 1.
    """
    import polars as pl

    ages_s = (now_ms - pl.col("ts")).clip(lower_bound=0) / 1000
    weight = pl.lit(2.0).pow(-ages_s / half_life_s)
    count = (weight.sum() * PER_EVENT).round().cast(pl.Int64).clip(lower_bound=1)
    return frame.group_by("item_id").agg(count.alias("count"))


def fit(histories: "Histories", items: int) -> "Popularity":
    """Count every event, half as much for each half-life before the newest one."""
    known = histories.items != UNKNOWN
    ids, times_ms = histories.items[known], histories.times_ms[known]
    ages_s = (times_ms.max(initial=0) - times_ms) / 1000
    weights: Floats = 2.0 ** (-ages_s / HALF_LIFE_S)
    counts: Floats = np.bincount(ids, weights, minlength=items).astype(np.float64)
    return Popularity(counts)


class Popularity:
    """Ranks all items that were ever acted on by their decayed counts, (items,)."""

    def __init__(self, counts: Floats) -> None:
        order: Ints = np.argsort(-counts, kind="stable")
        self._items = order[counts[order] > 0]
        self._weights = counts[self._items] / max(counts.sum(), 1)

    def top(self, questions: Prefixes, k: int, exclude_seen: bool = False) -> Ranked:
        """See ``Baseline.top``; the same for all, but for what each has seen."""
        size = len(questions.lengths)
        needed = k + questions.lengths if exclude_seen else np.full(size, k)
        rows, places = spans(np.zeros(size, np.int64), np.minimum(needed, len(self._items)))
        if exclude_seen:
            new = ~is_seen(questions, rows, self._items[places])
            rows, places = rows[new], places[new]
        return first(rows, self._items[places], self._weights[places], size, k)


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
