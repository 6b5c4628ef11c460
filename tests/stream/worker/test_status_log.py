"""The worker says how it is, in one line at each change, and how long an outage was."""

import math
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from stream.health import Condition, Health
from stream.worker.status_log import (
    AWAY_EVERY_S,
    LOW_DISK_BYTES,
    SETTLED_S,
    Ongoing,
    StatusLog,
    Strain,
)


class Watched:
    """A worker as the status log sees it, with a clock of its own."""

    def __init__(self) -> None:
        self.now_s = self.answered_s = 100.0
        self.health = Health(0.0)
        self.health.set_ok("broker")  # as it is once the producer has started
        self.partitions: set[int] = set()
        self.users = 0
        self.strain = Strain()
        self._log = StatusLog(self.health, "http://127.0.0.1:8090", lambda: self.now_s)

    def become_ready(self) -> None:
        for condition in get_args(Condition):
            self.health.set_ok(condition)

    def said(self) -> list[dict[str, Any]]:
        """The lines of one report."""
        with capture_logs() as lines:
            self._log.report(
                self.partitions, "demo 1 on cpu", self.answered_s, self.users, self.strain
            )
        return [dict(line) for line in lines]


def events(lines: list[dict[str, Any]]) -> list[str]:
    return [line["event"] for line in lines]


def test_ready_is_said_once_with_address_partitions_and_model() -> None:
    w = Watched()
    starting = w.said()
    w.become_ready()
    w.partitions = {3, 0}

    (line,) = w.said()
    assert starting == w.said() == []
    assert line == {
        "event": "ready",
        "http": "http://127.0.0.1:8090",
        "partitions": [0, 3],
        "model": "demo 1 on cpu",
        "log_level": "info",
    }


def test_a_rebalance_is_said_with_its_reasons_and_ready_with_the_new_partitions() -> None:
    w = Watched()
    w.become_ready()
    w.partitions = {0, 1}
    w.said()
    w.health.set_failed("partitions", "the group rebalances")
    w.health.set_failed("state", "the state is not recovered since the last rebalance")

    (gone,) = w.said()
    assert (gone["event"], "the group rebalances" in gone["reasons"]) == ("not ready", True)
    assert w.said() == []
    w.become_ready()
    w.partitions = {1}
    (back,) = w.said()
    assert (back["event"], back["partitions"]) == ("ready", [1])


def test_partitions_that_change_between_two_looks_are_said() -> None:
    w = Watched()
    w.become_ready()
    w.partitions = {0, 1}
    w.said()
    w.partitions = {0}

    assert [line["partitions"] for line in w.said()] == [[0]]


def test_an_outage_is_said_at_once_every_minute_and_when_it_is_over() -> None:
    w = Watched()
    w.become_ready()
    w.said()
    # It was asked again 6 s after its last answer, and did not answer.
    w.now_s = 106.0
    w.users = 40
    w.health.set_failed("broker", "the broker does not answer")
    lines = w.said()
    for _ in range(4 * 60 - 6):
        w.now_s += 1
        lines += w.said()
    w.health.set_ok("broker")
    w.answered_s = w.now_s = 340.0
    lines += w.said()

    away = [line["away_s"] for line in lines if line["log_level"] == "warning"]
    assert away == [6.0, *(6.0 + n * AWAY_EVERY_S for n in range(1, 4))]
    back, ready = lines[-2:]
    assert (back["event"], back["away_s"]) == ("the broker answers again", 340.0 - 100.0)
    assert ready["event"] == "ready"
    assert {line["unscored_users"] for line in lines if "unscored_users" in line} == {40}
    assert len(lines) == 4 + 2  # "not ready" would only say the same


def test_a_second_outage_is_counted_from_its_own_beginning() -> None:
    w = Watched()
    w.become_ready()
    w.said()
    for begins_s in (200.0, 500.0):
        w.answered_s, w.now_s = begins_s, begins_s + 5
        w.health.set_failed("broker", "the broker does not answer")
        w.said()
        w.health.set_ok("broker")
        w.answered_s = w.now_s = begins_s + 30

        assert w.said()[0]["away_s"] == 30.0


@pytest.mark.parametrize(
    ("strain", "begins", "ends"),
    [
        (Strain(paused_partitions=4), "partitions are paused", "partitions are read again"),
        (Strain(level="short"), "scores list fewer items", "list all their items again"),
        (Strain(level="cold"), "scores are those of a new user", "the users' own again"),
        (Strain(free_bytes=LOW_DISK_BYTES - 1), "little room is left", "there is room"),
        (Strain(free_bytes=0), "little room is left", "there is room"),
    ],
)
def test_a_strain_is_said_once_as_it_begins_and_once_when_it_is_over(
    strain: Strain, begins: str, ends: str
) -> None:
    w = Watched()
    w.become_ready()
    w.said()
    w.users, w.strain = 70, strain
    lines = w.said()
    for _ in range(3_600):
        w.now_s += 1
        lines += w.said()
    w.strain = Strain()
    for _ in range(60):
        w.now_s += 1
        lines += w.said()

    begun, over = lines
    assert begins in begun["event"] and begun["log_level"] == "warning"
    assert ends in over["event"] and over["lasted_s"] == 3_600.0


def test_overload_that_grows_is_said_at_each_level() -> None:
    w = Watched()
    lines = []
    for level in ("short", "cold", "short"):
        w.strain = Strain(paused_partitions=2, level=level)
        for _ in range(20):
            w.now_s += 1
            lines += w.said()

    assert [line["event"].split(",")[0] for line in lines] == [
        "partitions are paused",
        "overload: scores list fewer items",
        "overload: scores are those of a new user",
        "scores list all their items again",
        "overload: scores list fewer items",
        "scores are the users' own again",
    ]


def test_a_disk_that_cannot_be_read_or_hovers_around_the_limit_is_not_said_again() -> None:
    w = Watched()
    w.strain = Strain(free_bytes=math.nan)
    assert w.said() == []

    lines = []
    for second in range(600):
        w.now_s += 1
        w.strain = Strain(free_bytes=LOW_DISK_BYTES + (-1 if second % 40 else 1) * 10_000)
        lines += w.said()
    assert len(lines) == 1


@given(st.lists(st.tuples(st.floats(0.1, 30), st.booleans()), max_size=80))
def test_a_strain_that_comes_and_goes_is_never_said_twice_in_the_same_way(
    looks: list[tuple[float, bool]],
) -> None:
    now_s, lines = 0.0, list[str]()
    ongoing = Ongoing("begins", "ends", lambda: now_s)
    for passed_s, holds in looks:
        now_s += passed_s
        with capture_logs() as logged:
            ongoing.report(holds)
        lines += events(list(map(dict, logged)))

    assert lines == ["begins", "ends"] * (len(lines) // 2) + ["begins"] * (len(lines) % 2)
    assert len(lines) <= 2 + 2 * now_s / SETTLED_S
