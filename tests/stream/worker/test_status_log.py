"""The worker says how it is, in one line at each change, and how long an outage was."""

from typing import Any, get_args

from structlog.testing import capture_logs

from stream.health import Condition, Health
from stream.worker.status_log import AWAY_EVERY_S, StatusLog


class Watched:
    """A worker as the status log sees it, with a clock of its own."""

    def __init__(self) -> None:
        self.now_s = self.answered_s = 100.0
        self.health = Health(0.0)
        self.health.set_ok("broker")  # as it is once the producer has started
        self.partitions: set[int] = set()
        self.users = 0
        self._log = StatusLog(self.health, "http://127.0.0.1:8090", lambda: self.now_s)

    def become_ready(self) -> None:
        for condition in get_args(Condition):
            self.health.set_ok(condition)

    def said(self) -> list[dict[str, Any]]:
        """The lines of one report."""
        with capture_logs() as lines:
            self._log.report(self.partitions, "demo 1 on cpu", self.answered_s, self.users)
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
