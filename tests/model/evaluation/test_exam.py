import numpy as np

from model.baselines import Prefixes, Ranked
from model.data.dataset import Histories, Period
from model.evaluation.exam import Answers, Exam
from tests.model.shop_log import CATALOGUE, CONFIG, EVER, Spy, histories


class Recorder:
    """A baseline that predicts the newest item and records what it was shown."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def top(self, questions: Prefixes, k: int, exclude_seen: bool = False) -> Ranked:
        del exclude_seen
        bounds = zip(questions.offsets[:-1], questions.offsets[1:], strict=True)
        self.shown += ["".join("abcz"[i] for i in questions.items[b:e]) for b, e in bounds]
        items = np.full((len(questions.lengths), k), -1, np.int32)
        items[:, 0] = questions.last
        return Ranked(items, (items >= 0).astype(np.float64))


def exam(log: Histories, period: Period = EVER) -> Exam:
    return Exam.of(log, CATALOGUE, CONFIG, period)


def asked_items(log: Histories, period: Period = EVER) -> list[str]:
    spy = Spy("abc")
    exam(log, period).ask_scorer(spy)
    return ["".join(sequence.items) for sequence in spy.asked]


def test_each_event_is_predicted_from_the_earlier_ones() -> None:
    assert sorted(asked_items(histories("abc"))) == ["", "a", "ab", "abc"]  # abc: intents


def test_only_the_newest_actions_are_shown() -> None:
    assert "abc" not in asked_items(histories("cabcb"))[:3]
    assert max(map(len, asked_items(histories("cabcb")))) == CONFIG.max_length


def test_events_before_the_period_are_only_history() -> None:
    log = histories("abcab")  # seconds 0 to 4

    assert asked_items(log, Period(3_000, 3_500)) == ["abc", "bca"]  # for a, then b


def test_the_clock_is_the_time_of_the_last_known_action() -> None:
    spy = Spy("abc")
    exam(histories("ab")).ask_scorer(spy)

    assert [(s.times_ms, s.now_ms) for s in spy.asked] == [
        ((), 0),
        ((0,), 0),
        ((0, 1000), 1000),
    ]


def test_baselines_and_scorers_are_shown_the_same() -> None:
    log = histories("abzcb", "ca")
    recorder = Recorder()

    exam(log).ask_baseline(recorder)

    assert recorder.shown == [shown.replace("\0", "z") for shown in asked_items(log)]


def test_the_rank_is_the_position_of_the_next_item_in_the_answer() -> None:
    answers = exam(histories("a")).ask_scorer(Spy("bca"))

    assert answers.items[0, :4].tolist() == [1, 2, 0, -1]
    one = Answers(np.repeat(answers.items[:1], 4, axis=0), None)
    assert one.ranks(np.array([1, 0, -1, -2])).tolist() == [1, 3, 0, 0]


def test_a_baselines_intents_are_the_given_rates() -> None:
    questions = exam(histories("ab"))

    assert questions.ask_baseline(Recorder()).chances is None
    rates = questions.ask_baseline(Recorder(), np.array([0.1, 0.2])).chances
    assert rates is not None and rates.tolist() == [[0.1, 0.2]] * len(questions)


def test_progress_is_reported_for_scorers_and_baselines() -> None:
    told: list[int] = []
    questions = exam(histories("ab", "c"))

    questions.ask_scorer(Spy("ab"), told.append)
    questions.ask_baseline(Recorder(), None, told.append)

    assert told == [len(questions)] * 2
