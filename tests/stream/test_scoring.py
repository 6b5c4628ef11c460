"""A poison user pays alone; a scorer that hangs or miscounts is found out."""

import asyncio
import threading
from collections.abc import Sequence as Batch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.scorer import Score
from model.sequence import Sequence
from stream.errors import ScoringError
from stream.scoring import Device, score_or_isolate
from tests.stream.fakes import EchoScorer


def sequences(n: int) -> list[Sequence]:
    return [Sequence((f"i{index}",), ("click",), (index,), index) for index in range(n)]


def item(score: Score | Exception) -> str:
    assert isinstance(score, Score)
    return score.items[0][0]


def test_a_good_batch_is_scored_in_one_call_in_order() -> None:
    scorer = EchoScorer()

    scores = score_or_isolate(scorer, sequences(5))

    assert [item(score) for score in scores] == ["i0", "i1", "i2", "i3", "i4"]
    assert scorer.batches == [5]


def test_nobody_to_score_costs_no_call() -> None:
    scorer = EchoScorer()

    assert score_or_isolate(scorer, []) == []
    assert scorer.batches == []


@settings(deadline=None)
@given(st.integers(1, 70).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, n - 1)))))
def test_just_the_poison_users_get_the_error_and_all_others_their_own_score(
    case: tuple[int, set[int]],
) -> None:
    n, poison = case
    scorer = EchoScorer(f"i{index}" for index in poison)

    scores = score_or_isolate(scorer, sequences(n))

    assert {index for index, score in enumerate(scores) if isinstance(score, Exception)} == poison
    assert all(item(scores[index]) == f"i{index}" for index in range(n) if index not in poison)
    assert all(str(scores[index]) == f"cannot score i{index}" for index in poison)


def test_one_poison_user_among_1024_costs_twenty_calls_more() -> None:
    scorer = EchoScorer(["i700"])

    score_or_isolate(scorer, sequences(1024))

    assert len(scorer.batches) == 1 + 2 * 10  # two halves at each of log2(1024) levels


class Miscounting(EchoScorer):
    """Loses the score of one user, and with it the order of all."""

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        scores = super().score(sequences)
        return [score for score in scores if score.items[0][0] != "i2"]


def test_whom_the_scorer_leaves_out_is_found_and_nobody_gets_anothers_score() -> None:
    scores = score_or_isolate(Miscounting(), sequences(4))

    assert [item(scores[index]) for index in (0, 1, 3)] == ["i0", "i1", "i3"]
    assert isinstance(scores[2], ScoringError)
    assert "0 scores for 1 sequences" in str(scores[2])


# --- off the event loop --------------------------------------------------------------------------


class Stuck(EchoScorer):
    """Does not answer until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.may_answer = threading.Event()
        self.threads: list[str] = []

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        self.threads.append(threading.current_thread().name)
        self.may_answer.wait(timeout=60)
        return super().score(sequences)


def test_the_event_loop_goes_on_while_a_batch_is_on_the_device() -> None:
    scorer = Stuck()
    device = Device(scorer, timeout_s=60)

    async def main() -> list[Score | Exception]:
        scoring = asyncio.create_task(device.score(sequences(2)))
        await asyncio.sleep(0)
        scorer.may_answer.set()  # only a loop that is free comes here
        return await scoring

    try:
        assert [item(score) for score in asyncio.run(main())] == ["i0", "i1"]
    finally:
        device.close()
    assert scorer.threads == ["scorer_0"]


def test_a_scorer_that_hangs_is_an_error_with_the_flag_that_bounds_it() -> None:
    scorer = Stuck()
    device = Device(scorer, timeout_s=0.01)

    try:
        with pytest.raises(ScoringError, match=r"within 0\.01 s for 3 users.*--scoring-timeout-s"):
            asyncio.run(device.score(sequences(3)))
    finally:
        scorer.may_answer.set()
        device.close()


def test_the_device_says_who_answers() -> None:
    device = Device(EchoScorer(), timeout_s=1)
    device.close()

    assert device.info.name == "echo"
