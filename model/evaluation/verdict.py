"""The verdict: whether a model is worth serving, in three sentences with their evidence."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.data.dataset import NO_NEXT
from model.evaluation import bootstrap
from model.evaluation.bootstrap import Interval
from model.evaluation.exam import Answers, Exam
from model.evaluation.figures import Evaluation, Figures
from model.printable import shortened

Floats = npt.NDArray[np.float64]

METRIC = "recall@20"
FEW_USERS = 10  # of fewer, resampling says nothing
LONGEST = 40  # cells of a name in a sentence
FEW = 30  # questions: a group of fewer proves nothing
FAILING = 0.25  # of the recall over all questions: a group with less is one where the model fails
SMALLEST = 1e-12  # a probability, so that no logarithm is infinite
NAMES = {
    "no actions yet": "users without actions",
    "cold item (never trained on)": "items it was not trained on",
    "new to the window": "items new to the user",
    "warm item": "items it was trained on",
}


@dataclass(frozen=True, slots=True)
class Difference:
    """How much larger the model's figure is than that of the other, with its 95 % interval.

    Without an interval there are too few users to judge.
    """

    other: str
    value: float
    interval: Interval | None

    @property
    def sign(self) -> int:
        """1 or -1 where the whole interval lies on one side of 0, else 0."""
        if self.interval is None:
            return 0
        low, high = self.interval
        return int(low > 0) - int(high < 0)


@dataclass(frozen=True, slots=True)
class Group:
    """A group of questions where the model fails: its recall, and that of the best rule there."""

    name: str
    questions: int
    recall: float
    rule: str
    rule_recall: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """The comparisons that the sentences are made of."""

    model: str
    questions: int  # with a next item
    recall: float
    best_rule: Difference | None  # of recall at 20; None without questions
    intents: dict[str, Difference | None]  # of the log loss to a constant; None if unknown
    fails: list[Group]
    holds: list[Group]  # users without actions, and items not trained on, where it does not fail

    def to_json(self) -> dict[str, Any]:
        """The fields as JSON types, and the sentences."""
        return asdict(self) | {"sentences": sentences(self)}


def decide(exam: Exam, answers: Mapping[str, Answers], evaluation: Evaluation) -> Verdict:
    """Compare the model, the first of the answers, with the rules, the others."""
    model = next(iter(answers))
    everything = evaluation.items["all"]
    recall = everything[model][METRIC] or 0.0
    found = [
        _group_of(name, figures)
        for name, figures in evaluation.items.items()
        if name != "all" and (figures[model]["n"] or 0) >= FEW
    ]
    fails = [g for g in found if g.recall < max(g.rule_recall, FAILING * recall)]
    return Verdict(
        model,
        int(everything[model]["n"] or 0),
        recall,
        _best_rule(exam, answers, evaluation),
        {
            name: _to_constant(exam, answers, column)
            for column, name in enumerate(exam.config.intents)
        },
        fails,
        [g for g in found if g not in fails and g.name in tuple(NAMES)[:2]],
    )


def sentences(verdict: Verdict) -> list[str]:
    """Three sentences: against the best rule, on the intents, and where the model fails."""
    return [_against_rule(verdict), _on_intents(verdict), _where(verdict)]


def best_rule(figures: Mapping[str, Figures]) -> str:
    """The rule with the highest recall at 20 in a group; the model is the first."""
    _, *rules = figures
    return max(rules, key=lambda rule: figures[rule][METRIC] or 0.0)


def _group_of(name: str, figures: Mapping[str, Figures]) -> Group:
    own, rule = next(iter(figures.values())), best_rule(figures)
    questions = int(own["n"] or 0)
    return Group(name, questions, own[METRIC] or 0.0, rule, figures[rule][METRIC] or 0.0)


def _best_rule(
    exam: Exam, answers: Mapping[str, Answers], evaluation: Evaluation
) -> Difference | None:
    asked = exam.questions.targets != NO_NEXT
    if not asked.any():
        return None
    model, best = next(iter(answers)), best_rule(evaluation.items["all"])
    hits = [answers[who].ranks(exam.questions.targets)[asked] > 0 for who in (model, best)]
    return _difference(best, hits[0] * 1.0 - hits[1], exam.questions.users[asked])


def _to_constant(exam: Exam, answers: Mapping[str, Answers], column: int) -> Difference | None:
    """The log loss of an intent less that of its rate in training; None without both outcomes."""
    labels = exam.questions.intents[:, column]
    known = labels >= 0
    model, constant = next(iter(answers.values())).chances, answers["popularity"].chances
    if model is None or constant is None or len(np.unique(labels[known])) < 2:
        return None
    yes = labels[known] == 1
    losses = [_losses(chances[known, column], yes) for chances in (model, constant)]
    return _difference("a constant", losses[0] - losses[1], exam.questions.users[known])


def _losses(chances: Floats, yes: npt.NDArray[np.bool_]) -> Floats:
    right = np.where(yes, chances, 1 - chances)
    losses: Floats = -np.log(np.maximum(right, SMALLEST))
    return losses


def _difference(other: str, gains: Floats, users: npt.NDArray[np.int64]) -> Difference:
    if len(np.unique(users)) < FEW_USERS:
        return Difference(other, float(gains.mean()), None)
    bounds = bootstrap.intervals({"difference": bootstrap.mean_of(gains)}, users)
    return Difference(other, float(gains.mean()), bounds["difference"])


def _against_rule(verdict: Verdict) -> str:
    if (best := verdict.best_rule) is None:
        return "No question has a next item, so nothing can be said of the lists."
    questions = f"{verdict.questions:,} question{'' if verdict.questions == 1 else 's'}"
    found = (
        f"{shortened(verdict.model, LONGEST)} lists the next item among its 20 for "
        f"{verdict.recall:.1%} of {questions} and"
    )
    if best.interval is None:
        return (
            f"{found} the best rule, {best.other}, for {verdict.recall - best.value:.1%}: fewer "
            f"than {FEW_USERS} users are too few to tell them apart."
        )
    how = {1: "better than", 0: "no different from", -1: "worse than"}[best.sign]
    low, high = map(_points, best.interval)
    return (
        f"{found} is {how} the best rule, {best.other}: {_points(best.value)} points "
        f"(95 %: {low} to {high})."
    )


def _on_intents(verdict: Verdict) -> str:
    judged = {
        name: found.sign < 0
        for name, found in verdict.intents.items()
        if found is not None and found.interval is not None
    }
    groups = (
        ("are better than a constant for", [name for name, better in judged.items() if better]),
        (
            "are no better than a constant for",
            [name for name, better in judged.items() if not better],
        ),
        ("cannot be judged here for", [name for name in verdict.intents if name not in judged]),
    )
    parts = [f"{text} {_listed(names)}" for text, names in groups if names]
    return f"Its chances {'; they '.join(parts)}." if parts else "The model predicts no intent."


def _where(verdict: Verdict) -> str:
    if verdict.fails:
        return f"It fails for {'; '.join(map(_group, verdict.fails))}."
    if verdict.holds:
        return f"It fails in no group; it finds, for {'; '.join(map(_group, verdict.holds))}."
    return "It fails in no group of questions."


def _group(group: Group) -> str:
    name = NAMES.get(group.name, f"users with {group.name}")
    rule = f"{group.rule} {group.rule_recall:.1%}"
    return f"{name}, {group.recall:.1%} of {group.questions:,} ({rule})"


def _points(share: float) -> str:
    return f"{100 * share:+.1f}"


def _listed(intents: list[str]) -> str:
    names = [shortened(name, LONGEST) for name in intents]
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
