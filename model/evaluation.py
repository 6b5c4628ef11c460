"""The evaluation: what a scorer would have said before each event of a log, had it been asked.

It asks the scorers that serve, so what is judged is what is served.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from model import metrics
from model.catalogue import UNKNOWN, Catalogue
from model.config import ArtifactConfig
from model.dataset import CENSORED, NO_NEXT, Histories, Period, label
from model.scorer import Score, Scorer
from model.sequence import Sequence as Actions

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

ASKED_AT_ONCE = 1_024
CUTOFF = 20
STRANGER = "\0"  # stands for every item that the catalogue has not; no item is called so


class Questions(NamedTuple):
    """Q moments to ask at; the sequence of one is the events ``begin`` to ``end``."""

    begin: Ints  # (Q,)
    end: Ints  # (Q,) equal to begin where nothing is known of the user
    targets: Ints  # (Q,) the next item, UNKNOWN if the catalogue has it not, or NO_NEXT
    intents: npt.NDArray[np.int8]  # (Q, A) 1, 0, or CENSORED
    repeated: Mask  # (Q,) whether the next item stands in the sequence already


class Answers(NamedTuple):
    """What one scorer said, row by row of the questions."""

    ranks: npt.NDArray[np.int16]  # (Q,) of the next item, 0 beyond the cutoff
    chances: npt.NDArray[np.float64]  # (Q, A) of the intents


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Every scorer's figures on the same questions, by group of questions or by intent."""

    items: dict[str, dict[str, dict[str, float]]]  # group → scorer → metric
    intents: dict[str, dict[str, dict[str, float | None]]]  # intent → scorer → metric

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return {"items": self.items, "intents": self.intents}


def evaluate(
    scorers: Sequence[Scorer],
    histories: Histories,
    catalogue: Catalogue,
    config: ArtifactConfig,
    period: Period,
    tell: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """Ask each scorer before each event of the period; the events before are only history.

    ``tell`` hears how many answers there are so far, over all scorers.
    """
    questions = ask(histories, config, period)
    answers: dict[str, Answers] = {}
    for scorer in scorers:
        before = len(answers) * len(questions.end)
        answers[scorer.info.name] = answer(
            scorer, questions, histories, catalogue, config, _adding(before, tell)
        )
    return Evaluation(
        items={
            name: {who: metrics.item_figures(said.ranks[rows]) for who, said in answers.items()}
            for name, rows in groups(questions).items()
        },
        intents={
            name: {
                who: metrics.intent_figures(questions.intents[:, column], said.chances[:, column])
                for who, said in answers.items()
            }
            for column, name in enumerate(config.intents)
        },
    )


def ask(histories: Histories, config: ArtifactConfig, period: Period) -> Questions:
    """One question after each event that has something to predict, one before each newcomer."""
    labels = label(histories, period, config)
    useful = (labels.next_items != NO_NEXT) | (labels.intents != CENSORED).any(axis=1)
    last = np.flatnonzero(useful)  # the newest event that is known
    user_begins = np.repeat(histories.offsets[:-1], np.diff(histories.offsets))
    first = histories.offsets[:-1]
    newcomers = first[histories.times_ms[first] >= period.start_ms]
    begin = np.concatenate([newcomers, np.maximum(user_begins[last], last + 1 - config.max_length)])
    end = np.concatenate([newcomers, last + 1])
    targets = np.concatenate([histories.items[newcomers], labels.next_items[last]])
    unasked = np.full((len(newcomers), len(config.intents)), CENSORED, dtype=np.int8)
    return Questions(
        begin,
        end,
        targets.astype(np.int64),
        np.concatenate([unasked, labels.intents[last]]),
        _repeated(histories.items, begin, end, targets),
    )


def answer(
    scorer: Scorer,
    questions: Questions,
    histories: Histories,
    catalogue: Catalogue,
    config: ArtifactConfig,
    tell: Callable[[int], None],
) -> Answers:
    """Let one scorer answer, many questions at a time."""
    names = np.array([*catalogue.items, STRANGER], dtype=object)  # UNKNOWN is the last one
    ranks = np.zeros(len(questions.end), dtype=np.int16)
    chances = np.zeros(questions.intents.shape)
    for start in range(0, len(ranks), ASKED_AT_ONCE):
        rows = slice(start, start + ASKED_AT_ONCE)
        scores = scorer.score(list(_sequences(questions, rows, histories, names, config)))
        targets = names[questions.targets[rows].clip(min=UNKNOWN)]
        ranks[rows] = [rank(said, item) for said, item in zip(scores, targets, strict=True)]
        chances[rows] = [[said.intent[name] for name in config.intents] for said in scores]
        tell(min(rows.stop, len(ranks)))
    return Answers(ranks, chances)


def rank(score: Score, item: str) -> int:
    """The place of the item among the best, from 1; 0 if it is not there."""
    for place, (best, _) in enumerate(score.items[:CUTOFF], start=1):
        if best == item:
            return place
    return 0


def groups(questions: Questions) -> dict[str, Mask]:
    """The questions that have a next item: all, by what is known, and without repeats."""
    asked = questions.targets != NO_NEXT
    known = questions.end - questions.begin
    return {
        "all": asked,
        "cold (no actions yet)": asked & (known == 0),
        "1-4 actions": asked & (known >= 1) & (known < 5),
        "5 and more": asked & (known >= 5),
        "new to the window": asked & ~questions.repeated,
    }


def _adding(before: int, tell: Callable[[int], None]) -> Callable[[int], None]:
    return lambda done: tell(before + done)


def _sequences(
    questions: Questions,
    rows: slice,
    histories: Histories,
    names: npt.NDArray[np.object_],
    config: ArtifactConfig,
) -> Iterator[Actions]:
    kinds = np.array(config.actions, dtype=object)
    spans = zip(questions.begin[rows].tolist(), questions.end[rows].tolist(), strict=True)
    for begin, end in spans:
        times_ms = tuple(histories.times_ms[begin:end].tolist())
        yield Actions(
            tuple(names[histories.items[begin:end]].tolist()),
            tuple(kinds[histories.actions[begin:end]].tolist()),
            times_ms,
            times_ms[-1] if times_ms else 0,
        )


def _repeated(items: npt.NDArray[np.int32], begin: Ints, end: Ints, targets: Ints) -> Mask:
    found = np.zeros(len(end), dtype=np.bool_)
    longest = int((end - begin).max(initial=0))
    for back in range(1, longest + 1):
        place = end - back
        found |= (place >= begin) & (items[np.maximum(place, 0)] == targets)
    repeated: Mask = found & (targets != UNKNOWN)
    return repeated
