"""The ladder: who waits too long gets less, in steps, and only where that is scorer_input for."""

import pytest

from model.scorer import Answer, Score
from model.sequence import Sequence
from stream.pipeline.shedding import SHORT_ITEMS, Level, degrade, scorer_input, shed_level

ANSWER = Score([(f"i{n}", 0.01) for n in range(20)], [("shoes", 0.5)], {"buy": 0.1}, "full")
CLICK = Sequence(("i1",), ("click",), (7,), 9)


@pytest.mark.parametrize(
    ("waited_s", "level"),
    [
        (0.0, "full"),
        (0.5, "full"),  # just as long as is patience
        (0.501, "short"),
        (1.0, "short"),  # twice as long
        (1.001, "cold"),
        (3600.0, "cold"),
    ],
)
def test_the_longer_the_wait_the_less_is_told(waited_s: float, level: Level) -> None:
    assert shed_level(waited_s, 0.5) == level


def test_without_the_setting_no_wait_is_too_long() -> None:
    assert shed_level(1e9, None) == "full"


def test_a_short_answer_has_the_best_items_and_everything_else() -> None:
    (score,) = degrade([ANSWER], "short")

    assert score == ANSWER._replace(items=ANSWER.items[:SHORT_ITEMS], quality="degraded")


def test_for_a_cold_answer_the_scorer_is_told_the_time_and_nothing_else() -> None:
    assert scorer_input([CLICK], "cold") == [Sequence((), (), (), CLICK.now_ms)]
    assert scorer_input([CLICK], "short") == scorer_input([CLICK], "full") == [CLICK]


def test_a_cold_answer_is_that_of_a_new_user_but_for_its_mark() -> None:
    cold = ANSWER._replace(quality="cold")

    assert degrade([cold], "cold") == [cold._replace(quality="degraded")]


def test_who_cannot_be_scored_stays_so_on_every_level() -> None:
    error = ValueError("poison")
    scores: list[Answer | Exception] = [ANSWER, error, ANSWER]

    assert degrade(scores, "full") is scores
    assert [score is error for score in degrade(scores, "short")] == [False, True, False]


def test_users_who_share_an_answer_share_the_degraded_one() -> None:
    first, second = degrade([ANSWER, ANSWER], "cold")

    assert first is second  # so it is encoded once
