"""The curves of an evaluation: what its plots show, as numbers."""

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
DELAY_QUESTIONS = 5_000  # drawn once, asked at every delay
POINTS = 400  # of a curve: more cannot be seen
SEED = 7


class Line(NamedTuple):
    """Points in order of x, and the area under them."""

    x: Floats
    y: Floats
    area: float


class Reliability(NamedTuple):
    """Bins of equally many predictions, by chance."""

    said: Floats  # mean chance given
    came: Floats  # how often it came true


class Delayed(NamedTuple):
    """How well the next item is found from a state that is so old."""

    delay_s: int
    recall: float
    low: float  # with high: the 95 % interval over users
    high: float
    questions: int


def roc(labels: npt.ArrayLike, chances: npt.ArrayLike) -> Line | None:
    """True over false positive rate; None where one class is missing."""
    from sklearn.metrics import roc_curve

    y, p = known(labels, chances)
    area = metrics.auc(y, p)
    if area is None:
        return None
    x, height, _ = roc_curve(y, p)
    return _thinned(x, height, area)


def precision_recall(labels: npt.ArrayLike, chances: npt.ArrayLike) -> Line | None:
    """Precision over recall, with the average precision; None where there is no yes."""
    from sklearn.metrics import precision_recall_curve

    y, p = known(labels, chances)
    area = metrics.average_precision(y, p)
    if area is None:
        return None
    precision, recall, _ = precision_recall_curve(y, p)
    return _thinned(recall[::-1], precision[::-1], area)


def confusion(labels: npt.ArrayLike, chances: npt.ArrayLike, threshold: float) -> Ints:
    """Counts (2, 2): row what came, column what was said from this chance on; no before yes."""
    y, p = known(labels, chances)
    cells = 2 * (y == 1) + (p >= threshold)
    return np.bincount(cells, minlength=4).reshape(2, 2).astype(np.int64)


def reliability(labels: npt.ArrayLike, chances: npt.ArrayLike) -> Reliability:
    """The bins of ``metrics.expected_calibration_error``."""
    y, p = known(labels, chances)
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(metrics.ECE_BINS, len(order))) if len(order) else []
    means = [(p[part].mean(), y[part].mean()) for part in parts]
    said, came = np.array(means, dtype=np.float64).reshape(-1, 2).T
    return Reliability(said, came)


def known(labels: npt.ArrayLike, chances: npt.ArrayLike) -> tuple[Floats, Floats]:
    """Where the label, 1 or 0, is known."""
    y, p = np.asarray(labels, dtype=np.float64), np.asarray(chances, dtype=np.float64)
    return y[y >= 0], p[y >= 0]


def recall_by_delay(
    exam: Exam, scorer: Scorer, delays_s: tuple[int, ...] = DELAYS_S
) -> list[Delayed]:
    """Recall@20 where actions count only when they are older than a delay at the next one.

    The same questions at every delay: those with a next item and at least one action known.
    Asked about late, they may have none left, and get the cold answer, as they would when served.
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
    """The same questions, each with what was known so long before its next item."""
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
    """The epochs in an artifact's ``metrics.json``; none if it was written without."""
    epochs = figures.get("learning")
    return epochs if isinstance(epochs, list) else []


def _thinned(x: Floats, y: Floats, area: float) -> Line:
    kept = np.unique(np.linspace(0, len(x) - 1, POINTS).astype(np.int64))
    return Line(x[kept], y[kept], area)
