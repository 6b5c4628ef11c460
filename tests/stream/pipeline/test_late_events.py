"""A log full of late events is a line in the log, once a minute, with the rule and the flag."""

from pathlib import Path
from typing import Any

from structlog.testing import capture_logs

from stream.pipeline.late_events import EVERY_S, LateEvents
from tests.stream.fakes import NOW_MS, click
from tests.stream.world import RULES, on_a_loop, world

LATE_MS = NOW_MS - RULES.allowed_lateness_ms - 1


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def reported(late_events: LateEvents) -> list[tuple[int, int]]:
    with capture_logs() as logs:
        late_events.report()
    return [(line["late"], line["events"]) for line in logs]


def test_most_of_a_replay_is_late_and_said_at_once() -> None:
    late_events = LateEvents(1_000, Clock())
    late_events.count(60, 100)

    assert reported(late_events) == [(60, 100)]


def test_within_a_minute_of_a_line_there_is_no_other_and_the_next_covers_all_since() -> None:
    clock = Clock()
    late_events = LateEvents(1_000, clock)
    late_events.count(60, 100)
    reported(late_events)

    for _ in range(59):
        clock.now_s += 1
        late_events.count(6, 10)
        assert reported(late_events) == []
    clock.now_s += 1

    assert reported(late_events) == [(59 * 6, 59 * 10)]


def test_a_replay_that_ends_within_the_minute_is_told_in_full_later() -> None:
    clock = Clock()
    late_events = LateEvents(1_000, clock)
    late_events.count(1, 2)
    reported(late_events)
    late_events.count(600, 1_000)

    clock.now_s += EVERY_S

    assert reported(late_events) == [(600, 1_000)]
    clock.now_s += EVERY_S
    assert reported(late_events) == []


def test_fewer_than_one_in_a_hundred_is_everyday_and_not_said() -> None:
    clock = Clock()
    late_events = LateEvents(1_000, clock)
    late_events.count(9, 1_000)
    assert reported(late_events) == []

    clock.now_s += EVERY_S
    assert reported(late_events) == []
    # The minute before counts no more: one in a hundred of these is late.
    late_events.count(1, 100)
    assert reported(late_events) == [(1, 100)]


@on_a_loop
async def test_the_worker_says_the_rule_the_flag_and_its_value(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0), click("u1", 1, ts=LATE_MS), click("u1", 2, ts=LATE_MS + 1))
        with capture_logs() as logs:
            w.pipeline.report_late_events()

    (line,) = logs
    said: dict[str, Any] = {name: line[name] for name in ("late", "events", "allowed_lateness_ms")}
    # One millisecond more than allowed is late, and exactly as much is not.
    assert said == {"late": 1, "events": 3, "allowed_lateness_ms": RULES.allowed_lateness_ms}
    assert "--allowed-lateness-ms" in line["event"]
    assert "newest action" in line["event"]
    assert line["log_level"] == "warning"
