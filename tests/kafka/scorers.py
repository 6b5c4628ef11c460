"""The scorers: models with one defect each, for `tests.kafka.mutants` to run a worker with."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from model.scorer import Score
from stream.settings import WorkerSettings
from stream.worker.models import model_loading as loading

Scoring = Callable[[Sequence[Any]], list[Score]]


def with_scorer(change: Callable[[Scoring], Scoring]) -> None:
    """Has a model whose ``score`` is what ``change`` makes of it."""
    load = loading.load_scorer

    def load_changed(settings: WorkerSettings) -> Any:
        scorer: Any = load(settings)
        scorer.score = scorer.answer = change(scorer.score)
        return scorer

    loading.load_scorer = load_changed


def holds_poison(sequence: Any) -> bool:
    """Whether this user is the one whom a model cannot digest."""
    return "poison" in sequence.items


def poisoned() -> None:
    """Has a model that fails on the item ``poison``, and on the whole batch that holds it."""

    def fail(score: Scoring) -> Scoring:
        def score_or_fail(sequences: Sequence[Any]) -> list[Score]:
            if any(map(holds_poison, sequences)):
                raise ValueError("cannot digest the poison")
            return score(sequences)

        return score_or_fail

    with_scorer(fail)


def untrue() -> None:
    """Has a model that says what is not a number to whoever holds the item ``poison``."""

    def lie(score: Scoring) -> Scoring:
        def score_or_lie(sequences: Sequence[Any]) -> list[Score]:
            return [
                said._replace(intent=dict.fromkeys(said.intent, float("nan")))
                if holds_poison(sequence)
                else said
                for sequence, said in zip(sequences, score(sequences), strict=True)
            ]

        return score_or_lie

    with_scorer(lie)


def stuck() -> None:
    """Has a model that never comes back from the item ``poison``."""

    def hang(score: Scoring) -> Scoring:
        def score_or_hang(sequences: Sequence[Any]) -> list[Score]:
            if any(map(holds_poison, sequences)):
                time.sleep(3600)
            return score(sequences)

        return score_or_hang

    with_scorer(hang)


def slow() -> None:
    """Has a model that takes 5 ms more for every user of whom there is something to score."""

    def dawdle(score: Scoring) -> Scoring:
        def score_slowly(sequences: Sequence[Any]) -> list[Score]:
            time.sleep(0.005 * sum(1 for sequence in sequences if sequence.items))
            return score(sequences)

        return score_slowly

    with_scorer(dawdle)


SCORERS = (poisoned, untrue, stuck, slow)
