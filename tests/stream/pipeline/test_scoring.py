"""A poison user pays alone; a scorer that hangs or miscounts is found out."""

import asyncio
import threading
from collections.abc import Sequence as Batch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import OutOfResourcesError
from model.scorer import Answer, Score, Vocabulary
from model.sequence import Sequence
from model.serving.null import NullScorer
from stream.errors import ScoringError
from stream.pipeline.scoring import (
    Device,
    Scored,
    count_unknown_items,
    score_or_isolate,
    try_out,
)
from tests.stream.fakes import EchoScorer


def sequences(n: int) -> list[Sequence]:
    return [Sequence((f"i{index}",), ("click",), (index,), index) for index in range(n)]


def item(score: Answer | Exception) -> str:
    assert isinstance(score, Score)
    return score.items[0][0]


def test_a_good_batch_is_scored_in_one_call_in_order() -> None:
    scorer = EchoScorer()

    scores = score_or_isolate(scorer, sequences(5))

    assert [item(score) for score in scores] == ["i0", "i1", "i2", "i3", "i4"]
    assert scorer.batches == [5]


@pytest.mark.parametrize(
    ("known", "unknown"),
    [(None, 0), (frozenset[str](), 3), (frozenset({"i0", "i2"}), 1), ({"old"}, 3)],
)
def test_a_newest_item_that_the_model_does_not_know_is_counted_once_a_user(
    known: frozenset[str] | None, unknown: int
) -> None:
    scorer = EchoScorer()
    scorer.vocabulary = Vocabulary(None, known)
    longer = Sequence(("old", "i0"), ("click", "click"), (0, 1), 1)
    empty = Sequence((), (), (), 0)

    assert count_unknown_items(scorer, [longer, *sequences(3)[1:], empty]) == unknown


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


GOOD = Score([("i0", 0.5), ("i1", 0.0)], [("c", 1.0)], {"buy": 0.5}, "full")
NAN = float("nan")


class Saying(EchoScorer):
    """Says something else to the user whose item it is."""

    def __init__(self, to: str, what: Score) -> None:
        super().__init__()
        self._to, self._what = to, what

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        scores = super().score(sequences)
        return [self._what if score.items[0][0] == self._to else score for score in scores]


@pytest.mark.parametrize(
    "bad",
    [
        GOOD._replace(items=[("i0", NAN)]),
        GOOD._replace(items=[("i0", 0.5), ("i1", 1.000001)]),
        GOOD._replace(items=[("i0", -0.1)]),
        GOOD._replace(categories=[("c", float("inf"))]),
        GOOD._replace(intent={"cart": 0.5, "buy": NAN}),
        GOOD._replace(vector=[0.5, NAN]),
        GOOD._replace(vector=[float("-inf")]),
        GOOD._replace(path={"stages": {"browsing": NAN}, "ends": 0.5}),
        GOOD._replace(path={"stages": {"browsing": 0.5}, "ends": 2.0}),
    ],
)
def test_what_is_no_probability_never_leaves_though_it_is_asked_for_once_more(bad: Score) -> None:
    scorer = Saying("i2", bad)

    scores = score_or_isolate(scorer, sequences(4))

    assert [item(scores[index]) for index in (0, 1, 3)] == ["i0", "i1", "i3"]
    assert isinstance(scores[2], ScoringError)
    assert scorer.batches == [4, 1]  # the second time alone


class Unsociable(EchoScorer):
    """Says what is no number to the first of several."""

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        first, *others = super().score(sequences)
        return [first._replace(intent={"buy": NAN}) if others else first, *others]


def test_whom_only_the_batch_harms_is_scored_alone() -> None:
    scores = score_or_isolate(Unsociable(), sequences(3))

    assert [item(score) for score in scores] == ["i0", "i1", "i2"]


@pytest.mark.parametrize(
    "good",
    [
        GOOD,
        GOOD._replace(vector=[-3.0, 2.0]),
        GOOD._replace(path={"stages": {"browsing": 1.0}, "next": {}, "ends": 0.0}),
        GOOD._replace(items=[], categories=[]),
    ],
)
def test_what_is_one_leaves_as_it_is(good: Score) -> None:
    assert score_or_isolate(Saying("i0", good), sequences(1)) == [good]


class Greedy(EchoScorer):
    """Has memory for so many users at a time."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        if len(sequences) > self._most:
            raise MemoryError
        return super().score(sequences)


def test_a_batch_too_large_for_the_memory_is_halved_until_it_fits() -> None:
    scores = score_or_isolate(Greedy(most=2), sequences(7))

    assert [item(score) for score in scores] == [f"i{n}" for n in range(7)]


class Exhausted(Greedy):
    """Says it as an engine does."""

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        try:
            return super().score(sequences)
        except MemoryError as error:
            raise OutOfResourcesError("no memory for them") from error


def test_an_engines_own_error_of_memory_makes_nobody_a_poison_user() -> None:
    assert [item(score) for score in score_or_isolate(Exhausted(most=1), sequences(3))] == [
        "i0",
        "i1",
        "i2",
    ]
    with pytest.raises(ScoringError, match=r"single user \(no memory for them\)"):
        score_or_isolate(Exhausted(most=0), sequences(3))


def test_no_memory_for_a_single_user_is_not_their_fault() -> None:
    with pytest.raises(ScoringError, match=r"no memory left.*--cache-users"):
        score_or_isolate(Greedy(most=0), sequences(7))


# --- before it serves ----------------------------------------------------------------------------


def test_a_model_that_scores_everybody_well_may_serve() -> None:
    try_out(NullScorer(), sequences(3))


@pytest.mark.parametrize(
    ("scorer", "why"),
    [
        (Saying("i1", GOOD._replace(intent={"buy": NAN})), "intent holds nan"),
        (Miscounting(), "3 scores for 4 sequences"),  # with the new user it is four
        (EchoScorer(["i1"]), "cannot score i1"),
    ],
)
def test_a_model_that_does_not_may_not(scorer: EchoScorer, why: str) -> None:
    with pytest.raises((ScoringError, ValueError), match=why):
        try_out(Welcoming(scorer), sequences(3))


class Welcoming:
    """Has an answer for somebody new, too, which the other scorers here have not."""

    def __init__(self, scorer: EchoScorer) -> None:
        self._scorer = scorer
        self.info, self.vocabulary = scorer.info, scorer.vocabulary

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        return [*self._scorer.score([s for s in sequences if s.items]), GOOD]


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

    async def main() -> Scored:
        scoring = asyncio.create_task(device.score(sequences(2)))
        await asyncio.sleep(0)
        scorer.may_answer.set()  # only a loop that is free comes here
        return await scoring

    try:
        assert [item(score) for score in asyncio.run(main()).scores] == ["i0", "i1"]
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


def test_a_batch_on_the_device_is_answered_by_one_model_though_another_comes_meanwhile() -> None:
    before, after = Stuck(), EchoScorer()
    after.info = after.info._replace(version="beef00000000")
    device = Device(before, timeout_s=60)

    async def main() -> tuple[Scored, Scored]:
        first = asyncio.create_task(device.score(sequences(2)))
        await asyncio.sleep(0)
        device.swap(after)
        second = asyncio.create_task(device.score(sequences(1)))
        await asyncio.sleep(0)
        before.may_answer.set()
        return await first, await second

    try:
        first, second = asyncio.run(main())
    finally:
        device.close()
    assert (first.model, second.model) == (before.info, after.info)
    assert (before.batches, after.batches) == ([2], [1])


def test_a_new_model_starts_with_a_clean_slate() -> None:
    device = Device(EchoScorer([f"i{n}" for n in range(15)]), timeout_s=60)

    async def main() -> Scored:
        await device.score(sequences(15))  # one more in a row would be the end
        device.swap(EchoScorer(["i0"]))
        return await device.score(sequences(1))

    try:
        (error,) = asyncio.run(main()).scores
    finally:
        device.close()
    assert isinstance(error, ValueError)


def test_on_the_last_step_no_network_runs_and_the_answer_is_that_of_somebody_new() -> None:
    scorer = Welcoming(EchoScorer())
    device = Device(scorer, timeout_s=60)

    try:
        scored = asyncio.run(device.score(sequences(1), "cold"))
    finally:
        device.close()
    assert scored == Scored(scorer.info, "cold", [GOOD._replace(quality="degraded")])
