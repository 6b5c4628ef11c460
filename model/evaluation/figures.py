"""The evaluation: the figures of the model and the baselines, with confidence intervals."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.data.dataset import NO_NEXT
from model.evaluation import bootstrap, metrics
from model.evaluation.bootstrap import Interval
from model.evaluation.exam import CUTOFF, Answers, Exam
from model.evaluation.questions import Mask, groups
from model.evaluation.variety import variety_figures

Figures = dict[str, float | None]  # metric → value, None if undefined
Intervals = dict[str, Interval | None]

WITH_INTERVAL = ("recall", "ndcg", "mrr")  # metrics of items that have an interval, at the cutoff


@dataclass(frozen=True, slots=True)
class Threshold:
    """The probability from which an intent counts as positive, and how it was chosen."""

    chance: float
    chosen_on: str


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of the model and each baseline, with 95 % intervals (bootstrap over users)."""

    questions: int
    users: int
    items: dict[str, dict[str, Figures]]  # group of questions → model → figures
    variety: dict[str, Figures]  # model → figures of its answers, right or wrong
    item_intervals: dict[str, Intervals]  # model → metric → interval, over all questions
    intents: dict[str, dict[str, Figures]]  # intent → model → figures
    intent_intervals: dict[str, dict[str, Intervals]]  # intent → model → metric → interval
    thresholds: dict[str, Threshold]  # intent → threshold

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return asdict(self)


def judge(
    exam: Exam,
    answers: Mapping[str, Answers],
    trained: Mask,
    thresholds: Mapping[str, Threshold],
) -> Evaluation:
    """Compare the answers with what happened.

    ``trained`` (V,) is whether an item occurs in the training data. The thresholds must not be
    chosen on the answers evaluated here.
    """
    questions = exam.questions
    asked = questions.targets != NO_NEXT
    ranks = {who: answer.ranks(questions.targets) for who, answer in answers.items()}
    return Evaluation(
        questions=len(exam),
        users=len(np.unique(questions.users)),
        items={
            name: {who: dict(metrics.item_figures(rank[rows])) for who, rank in ranks.items()}
            for name, rows in groups(questions, trained).items()
        },
        variety={
            who: variety_figures(answer.items[asked], exam.catalogue)
            for who, answer in answers.items()
        },
        item_intervals=_item_intervals(ranks, asked, questions.users),
        intents={
            name: _intent(exam, answers, column, thresholds[name].chance)
            for column, name in enumerate(exam.config.intents)
        },
        intent_intervals={
            name: _intent_intervals(exam, answers, column)
            for column, name in enumerate(exam.config.intents)
        },
        thresholds=dict(thresholds),
    )


def _item_intervals(
    ranks: Mapping[str, npt.NDArray[np.int64]], asked: Mask, users: npt.NDArray[np.int64]
) -> dict[str, Intervals]:
    return {
        who: bootstrap.intervals(
            {
                f"{metric}@{CUTOFF}": bootstrap.mean_of(metrics.gains(metric, rank[asked], CUTOFF))
                for metric in WITH_INTERVAL
            },
            users[asked],
        )
        for who, rank in ranks.items()
    }


def _intent(
    exam: Exam, answers: Mapping[str, Answers], column: int, threshold: float
) -> dict[str, Figures]:
    labels = exam.questions.intents[:, column]
    return {
        who: metrics.intent_figures(labels, answer.chances[:, column])
        | metrics.decision_figures(labels, answer.chances[:, column], threshold)
        for who, answer in answers.items()
        if answer.chances is not None
    }


def _intent_intervals(
    exam: Exam, answers: Mapping[str, Answers], column: int
) -> dict[str, Intervals]:
    known = exam.questions.intents[:, column] >= 0
    labels = exam.questions.intents[known, column]
    found = {}
    for who, answer in answers.items():
        if answer.chances is not None:
            chances = answer.chances[known, column]
            figures = {
                "auc": bootstrap.auc_of(labels, chances),
                "ece": bootstrap.ece_of(labels, chances, metrics.ECE_BINS),
            }
            found[who] = bootstrap.intervals(figures, exam.questions.users[known])
    return found
