"""The curves of an evaluation: the data of its plots."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model.data.dataset import NO_NEXT
from model.evaluation import bootstrap, metrics
from model.evaluation.exam import CUTOFF, Exam
from model.evaluation.questions import Questions
from model.scorer import Scorer

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

DELAYS_S = (0, 10, 60, 300, 1_800)
DELAY_QUESTIONS = 5_000  # drawn once, the same at every delay
POINTS = 400  # of a curve: more would not be visible
SEED = 7


class Line(NamedTuple):
    """A curve: its points in order of x, and the area under it."""

    x: Floats
    y: Floats
    area: float


class Reliability(NamedTuple):
    """Bins of equally many predictions, in order of probability."""

    predicted: Floats  # mean probability
    observed: Floats  # share of positives


class Delayed(NamedTuple):
    """Recall@20 of the next item if the state lags by ``delay_s``."""

    delay_s: int
    recall: float
    low: float  # with high: the 95 % interval over users
    high: float
    questions: int


def roc(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Line | None:
    """True over false positive rate; None if one class is missing."""
    from sklearn.metrics import roc_curve

    y, p = known(labels, probabilities)
    area = metrics.auc(y, p)
    if area is None:
        return None
    x, height, _ = roc_curve(y, p)
    return _thinned(x, height, area)


def precision_recall(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Line | None:
    """Precision over recall, with the average precision; None without positives."""
    from sklearn.metrics import precision_recall_curve

    y, p = known(labels, probabilities)
    area = metrics.average_precision(y, p)
    if area is None:
        return None
    precision, recall, _ = precision_recall_curve(y, p)
    return _thinned(recall[::-1], precision[::-1], area)


def confusion(labels: npt.ArrayLike, probabilities: npt.ArrayLike, threshold: float) -> Ints:
    """Counts (2, 2): rows observed, columns predicted at this threshold; negative first."""
    y, p = known(labels, probabilities)
    cells = 2 * (y == 1) + (p >= threshold)
    return np.bincount(cells, minlength=4).reshape(2, 2).astype(np.int64)


def reliability(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Reliability:
    """The bins of ``metrics.expected_calibration_error``."""
    y, p = known(labels, probabilities)
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(metrics.ECE_BINS, len(order))) if len(order) else []
    means = [(p[part].mean(), y[part].mean()) for part in parts]
    predicted, observed = np.array(means, dtype=np.float64).reshape(-1, 2).T
    return Reliability(predicted, observed)


def known(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Floats, Floats]:
    """The labels (1 or 0) and probabilities without the censored ones."""
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)
    return y[y >= 0], p[y >= 0]


def recall_by_delay(
    exam: Exam, scorer: Scorer, delays_s: tuple[int, ...] = DELAYS_S
) -> list[Delayed]:
    """Recall@20 if the state lacks the actions within a delay before the next one.

    The same questions at every delay: those with a next item and at least one known action. With
    the delay they may have no action left; their score is then cold, as it would be in serving.
    """
    questions = exam.questions
    rows = np.flatnonzero((questions.targets != NO_NEXT) & (questions.end > questions.begin))
    rows = np.random.default_rng(SEED).permutation(rows)[:DELAY_QUESTIONS]
    asked = replace(exam, questions=questions.take(np.sort(rows)))
    found = []
    for delay_s in delays_s if len(rows) else ():
        answers = delayed(asked, delay_s * 1000).ask_scorer(scorer)
        gains = metrics.gains("recall", answers.ranks(asked.questions.targets), CUTOFF)
        figures = {"recall": bootstrap.mean_of(gains)}
        low, high = bootstrap.intervals(figures, asked.questions.users)["recall"] or (0.0, 0.0)
        found.append(Delayed(delay_s, float(gains.mean()), low, high, len(gains)))
    return found


def delayed(exam: Exam, delay_ms: int) -> Exam:
    """The same questions, each with the actions known ``delay_ms`` before its next item."""
    times_ms, questions = exam.histories.times_ms, exam.questions
    first = exam.histories.offsets[questions.users]
    latest_ms = times_ms[questions.end] - delay_ms
    end = questions.end.copy()
    while (late := (end > first) & (times_ms[np.maximum(end - 1, 0)] > latest_ms)).any():
        end -= late
    begin = np.maximum(first, end - exam.config.max_length)
    moved: Questions = questions._replace(begin=begin, end=end)
    return replace(exam, questions=moved)


def learning_epochs(figures: dict[str, Any]) -> list[dict[str, float]]:
    """The epochs in an artifact's ``metrics.json``; empty if it has none."""
    epochs = figures.get("learning")
    return epochs if isinstance(epochs, list) else []


def _thinned(x: Floats, y: Floats, area: float) -> Line:
    kept = np.unique(np.linspace(0, len(x) - 1, POINTS).astype(np.int64))
    return Line(x[kept], y[kept], area)
