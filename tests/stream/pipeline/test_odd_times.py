"""Many events with odd times are a line in the log, once a minute, with the rule and the flag."""

from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from stream.pipeline.odd_times import EVERY_S, LEAST_OF_ONE, SHOWN, OddTimes
from stream.user_state import Outcome
from tests.stream.fakes import NOW_MS, click
from tests.stream.world import RULES, on_a_loop, world

LATE_MS = NOW_MS - RULES.allowed_lateness_ms - 1


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class LateEvents(OddTimes):
    """One partition, in which events are late or applied."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(RULES, clock)

    def late(self, late: int, events: int) -> None:
        self.count(0, {"late": late, "applied": events - late})


def reported(odd_times: OddTimes, outcome: Outcome = "late") -> list[tuple[int, int]]:
    with capture_logs() as logs:
        odd_times.report()
    return [(line[outcome], line["events"]) for line in logs if outcome in line]


def test_most_of_a_replay_is_late_and_said_at_once() -> None:
    late_events = LateEvents(Clock())
    late_events.late(60, 100)

    assert reported(late_events) == [(60, 100)]


def test_within_a_minute_of_a_line_there_is_no_other_and_the_next_covers_all_since() -> None:
    clock = Clock()
    late_events = LateEvents(clock)
    late_events.late(60, 100)
    reported(late_events)

    for _ in range(59):
        clock.now_s += 1
        late_events.late(6, 10)
        assert reported(late_events) == []
    clock.now_s += 1

    assert reported(late_events) == [(59 * 6, 59 * 10)]


def test_a_replay_that_ends_within_the_minute_is_told_in_full_later() -> None:
    clock = Clock()
    late_events = LateEvents(clock)
    late_events.late(1, 2)
    reported(late_events)
    late_events.late(600, 1_000)

    clock.now_s += EVERY_S

    assert reported(late_events) == [(600, 1_000)]
    clock.now_s += EVERY_S
    assert reported(late_events) == []


def test_fewer_than_one_in_a_hundred_is_everyday_and_not_said() -> None:
    clock = Clock()
    late_events = LateEvents(clock)
    late_events.late(9, 1_000)
    assert reported(late_events) == []

    clock.now_s += EVERY_S
    assert reported(late_events) == []
    # The minute before counts no more: one in a hundred of these is late.
    late_events.late(1, 100)
    assert reported(late_events) == [(1, 100)]


@on_a_loop
async def test_the_worker_says_the_rule_the_flag_and_its_value(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0), click("u1", 1, ts=LATE_MS), click("u1", 2, ts=LATE_MS + 1))
        with capture_logs() as logs:
            w.pipeline.report_odd_times()

    (line,) = logs
    said: dict[str, Any] = {name: line[name] for name in ("late", "events", "allowed_lateness_ms")}
    # One millisecond more than allowed is late, and exactly as much is not.
    assert said == {"late": 1, "events": 3, "allowed_lateness_ms": RULES.allowed_lateness_ms}
    assert "--allowed-lateness-ms" in line["event"]
    assert "newest action" in line["event"]
    assert line["log_level"] == "warning"


@pytest.mark.parametrize("outcome", ["late", "future"])
def test_one_partition_that_is_odd_is_not_hidden_by_the_others(outcome: Outcome) -> None:
    odd_times = OddTimes(RULES, Clock())
    for partition in range(100):
        odd_times.count(partition, {"applied": 1_000})
    odd_times.count(7, {outcome: 1_000})

    with capture_logs() as logs:
        odd_times.report()

    # 1,000 of 101,000 are fewer than one in a hundred, and half of those of partition 7.
    (line,) = logs
    assert (line[outcome], line["events"], line["partitions"]) == (1_000, 101_000, [7])


def test_a_few_events_of_a_quiet_partition_say_nothing() -> None:
    odd_times = OddTimes(RULES, Clock())
    odd_times.count(0, {"applied": 100_000})
    odd_times.count(1, {"late": LEAST_OF_ONE - 1})

    assert reported(odd_times) == []
    odd_times.count(1, {"late": 1})
    assert reported(odd_times) == [(LEAST_OF_ONE, 100_000 + LEAST_OF_ONE)]


@pytest.mark.parametrize("outcome", ["applied", "duplicate", "replayed", "forgotten"])
def test_what_loses_nothing_is_not_said(outcome: Outcome) -> None:
    odd_times = OddTimes(RULES, Clock())
    odd_times.count(0, {outcome: 1_000})

    assert reported(odd_times, outcome) == []


def test_late_and_future_events_have_lines_of_their_own() -> None:
    odd_times = OddTimes(RULES, Clock())
    odd_times.count(0, {"late": 5, "future": 7, "applied": 88})

    with capture_logs() as logs:
        odd_times.report()

    assert [(line.get("late"), line.get("future")) for line in logs] == [(5, None), (None, 7)]
    assert [line["log_level"] for line in logs] == ["warning", "warning"]


def test_no_line_names_partitions_without_end() -> None:
    odd_times = OddTimes(RULES, Clock())
    for partition in range(1_000):
        odd_times.count(partition, {"late": 1 + (partition == 500)})

    with capture_logs() as logs:
        odd_times.report()

    (line,) = logs
    assert len(line["partitions"]) == SHOWN
    assert 500 in line["partitions"]


@on_a_loop
async def test_a_producer_whose_clock_is_ahead_is_said(tmp_path: Path) -> None:
    # Two hours: local time that is called UTC. Without a word every time would be another one.
    ahead_ms = NOW_MS + 2 * 3_600_000
    async with world(tmp_path) as w:
        await w.feed(*(click(f"u{n}", n, ts=ahead_ms) for n in range(10)))
        with capture_logs() as logs:
            w.pipeline.report_odd_times()

    (line,) = logs
    assert (line["future"], line["max_future_ms"]) == (10, RULES.max_future_ms)
    assert "--max-future-ms" in line["event"]
