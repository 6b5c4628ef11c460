"""The sabotage: workers whose model, clock or memory fails while a file says so.

Run ``python -m tests.chaos.sabotage NAME worker …``. Nothing happens before the file `flag_of` is
there, so that a worker starts well, and recovers without a restart when the file is gone.
"""

import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from model.scorer import Score
from stream.cli.main import main
from stream.settings import WorkerSettings
from stream.worker.models import model_loading as loading

HOUR_S = 3600.0
SLOW_S = 0.5  # some ten times what a batch takes
Answer = Callable[[Sequence[Any]], list[Score]]


def flag_of(state_dir: Path) -> Path:
    """The file that says when."""
    return state_dir.with_name(state_dir.name + ".harm")


def _flag() -> Path:
    return flag_of(Path(sys.argv[sys.argv.index("--state-dir") + 1]))


def _model(change: Callable[[Answer, Sequence[Any]], list[Score]]) -> None:
    """Let the model answer otherwise while the flag is there."""
    load = loading.load_scorer

    def load_and_change(settings: WorkerSettings) -> Any:
        scorer: Any = load(settings)
        faithful, encoded, flag = scorer.score, scorer.answer, _flag()
        scorer.score = lambda rows: change(faithful, rows) if flag.exists() else faithful(rows)
        scorer.answer = lambda rows: change(faithful, rows) if flag.exists() else encoded(rows)
        return scorer

    loading.load_scorer = load_and_change


def hang() -> None:
    """It never answers."""

    def never(answer: Answer, rows: Sequence[Any]) -> list[Score]:
        time.sleep(HOUR_S)
        return answer(rows)

    _model(never)


def slow() -> None:
    """It takes some ten times as long."""

    def late(answer: Answer, rows: Sequence[Any]) -> list[Score]:
        time.sleep(SLOW_S)
        return answer(rows)

    _model(late)


def raise_now_and_then() -> None:
    """It fails on a batch now and then, and not on one user alone."""

    def fail(answer: Answer, rows: Sequence[Any]) -> list[Score]:
        if len(rows) > 1 and random.random() < 0.3:
            raise RuntimeError("no luck")
        return answer(rows)

    _model(fail)


def run_out_of_memory() -> None:
    """A batch of more than eight users does not fit."""

    def fail(answer: Answer, rows: Sequence[Any]) -> list[Score]:
        if len(rows) > 8:
            raise MemoryError
        return answer(rows)

    _model(fail)


def say_nan() -> None:
    """It says NaN for a batch now and then, and not for one user alone."""

    def nonsense(answer: Answer, rows: Sequence[Any]) -> list[Score]:
        scores = answer(rows)
        if len(rows) == 1 or random.random() < 0.5:
            return scores
        wrong = [(name, float("nan")) for name, _ in scores[0].items]
        return [scores[0]._replace(items=wrong), *scores[1:]]

    _model(nonsense)


def an_hour_ahead() -> None:
    """The worker's clock goes an hour fast."""
    _shift(HOUR_S)


def an_hour_behind() -> None:
    """The worker's clock goes an hour slow."""
    _shift(-HOUR_S)


def _shift(by_s: float) -> None:
    true = time.time
    time.time = lambda: true() + by_s


SABOTAGES = {
    sabotage.__name__: sabotage
    for sabotage in (
        hang,
        slow,
        raise_now_and_then,
        run_out_of_memory,
        say_nan,
        an_hour_ahead,
        an_hour_behind,
    )
}

if __name__ == "__main__":
    SABOTAGES[sys.argv.pop(1)]()
    main()
