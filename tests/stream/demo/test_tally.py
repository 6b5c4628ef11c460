"""The figures of the demo: what a score covers, how late it is, and what it predicted."""

import pytest

from stream.demo.tally import HitRate, Tally
from tests.stream.demo.figures import event, open_tally, score


def test_one_score_answers_all_events_up_to_its_offset() -> None:
    tally = open_tally()
    for at_s, offset in [(1.0, 7), (1.5, 8), (1.75, 9)]:
        entry, _ = tally.event_sent(event(), at_s)
        tally.event_acknowledged("u1", entry, offset)

    tally.score_received("u1", score(8), now_s=2.0)

    assert tally.unscored == 3 - 2
    assert tally.unscored_users() == ["u1"]
    latency = tally.latency()
    assert latency and latency.p99_s == 2.0 - 1.0  # of 1.0 s and 0.5 s

    tally.score_received("u1", score(9), now_s=2.25)
    assert tally.unscored == 0
    assert tally.unscored_users() == []


def test_a_score_may_come_before_we_hear_that_its_event_was_written() -> None:
    tally = open_tally()
    entry, _ = tally.event_sent(event(), now_s=1.0)
    tally.score_received("u1", score(7), now_s=1.25)
    assert tally.unscored == 1

    tally.event_acknowledged("u1", entry, offset=7)

    assert tally.unscored == 0
    latency = tally.latency()
    assert latency and latency.p50_s == 1.25 - 1.0  # when the score came, not when we heard


def test_a_score_sent_again_or_an_older_one_changes_nothing() -> None:
    tally = open_tally()
    tally.score_received("u1", score(9, "i2"), now_s=1.0)
    tally.score_received("u1", score(8, "i1"), now_s=2.0)

    _, predicted = tally.event_sent(event(item="i1"), now_s=3.0)

    assert not predicted
    assert tally.scores == 2


def test_an_event_that_the_broker_never_took_stays_unscored() -> None:
    tally = open_tally()
    tally.event_sent(event(), now_s=1.0)

    tally.score_received("u1", score(1_000_000), now_s=2.0)

    assert tally.unscored == 1


def test_a_click_counts_against_the_score_before_it_and_not_the_one_it_brings() -> None:
    tally = open_tally()
    tally.score_received("u1", score(1, "i1"), now_s=1.0)

    tally.event_sent(event(item="i1"), now_s=2.0)
    tally.event_sent(event(item="i2"), now_s=3.0)
    tally.score_received("u1", score(3, "i2"), now_s=4.0)

    assert tally.hit_rate.clicks == 2
    assert tally.hit_rate.rate == 1 / 2


def test_only_clicks_of_users_with_a_score_are_to_be_foreseen() -> None:
    tally = open_tally()
    tally.event_sent(event("nobody yet"), now_s=1.0)
    tally.score_received("u1", score(1, "i1"), now_s=1.0)
    tally.event_sent(event(action="cart"), now_s=2.0)

    assert tally.hit_rate.clicks == 0


def test_history_is_accounted_for_but_neither_timed_nor_foreseen() -> None:
    tally = Tally()
    tally.score_received("u1", score(0, "i1"), now_s=0.0)
    entry, _ = tally.event_sent(event(), now_s=1.0)
    tally.event_acknowledged("u1", entry, offset=1)
    tally.score_received("u1", score(1, "i1"), now_s=2.0)
    tally.go_live()

    assert (tally.history, tally.unscored) == (1, 0)
    assert tally.latency() is None
    assert tally.hit_rate.clicks == 0


@pytest.mark.parametrize(
    ("trained", "counted", "clicks", "expected"),
    [
        ("i1", "i2", ["i1", "i1", "i2"], (2 / 3, "of the training data")),
        ("i1", "i2", ["i1", "i2", "i2"], (2 / 3, "counted live")),
        ("i1", "i1", ["i1", "i2"], (1 / 2, "counted live")),  # equal: the one that needs no model
        ("i1", "i2", [], (0, "counted live")),
    ],
)
def test_the_baseline_is_the_stronger_popularity(
    trained: str, counted: str, clicks: list[str], expected: tuple[float, str]
) -> None:
    hit_rate = HitRate([trained])
    hit_rate.count_item(counted)
    hit_rate.update_popular()
    for item in clicks:
        hit_rate.add(item, hit=False)

    assert hit_rate.baseline == expected


def test_rates_are_over_the_last_three_seconds() -> None:
    tally = open_tally()
    tally.rates(0.0)
    for second in (1.0, 2.0, 3.0, 4.0):
        for _ in range(10):
            tally.event_sent(event(), second)
        events_per_s, scores_per_s = tally.rates(second)

    assert events_per_s == (40 - 10) / (4.0 - 1.0)
    assert scores_per_s == 0.0
