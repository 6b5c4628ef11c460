"""The oracle knows who expired, allows it when its time has come, and at no other time."""

from typing import Any

import pytest

from tests.oracle import faithful
from tests.oracle.answers import Answers
from tests.oracle.evidence import Evidence
from tests.oracle.faithful import CountingScorer, event, user_of_partition, work
from tests.oracle.record import Record
from tests.oracle.rules import DEFAULT_RULES
from tests.oracle.verdict import examine

OLD, NEW = user_of_partition(0), user_of_partition(1)
NOW_MS = 1_700_000_000_000
TTL_MS = DEFAULT_RULES.ttl_ms


def log(after_ms: int = TTL_MS + 1) -> list[Record]:
    """One user, and another of the same partition so much later."""
    late = event(0, 1, NEW, NOW_MS + after_ms)
    return [event(0, 0, OLD, NOW_MS), late._replace(timestamp_ms=NOW_MS + after_ms)]


def tombstone(topic: list[Record], offset: int, at_ms: int) -> Record:
    headers = (("lately.applied_offset", b"%d" % offset), ("lately.cause", b"expired"))
    return Record(0, 1000 + len(topic), at_ms, OLD.encode(), None, headers)


def expire(evidence: Evidence, offset: int = 0, at_ms: int = NOW_MS + TTL_MS + 1) -> Evidence:
    """The old user's state and score are deleted behind everything else."""
    scores, changelog = evidence.scores, evidence.changelog
    return evidence._replace(
        scores=[*scores, tombstone(scores, offset, at_ms)],
        changelog=[*changelog, tombstone(changelog, offset, at_ms)],
    )


def found(evidence: Evidence) -> set[str]:
    return {difference.check for difference in examine(evidence, Answers(CountingScorer()))}


def test_a_user_may_expire_when_the_time_to_live_is_over() -> None:
    assert found(expire(work(log()))) == set()


@pytest.mark.parametrize(
    ("after_ms", "at_ms"),
    [
        (TTL_MS, NOW_MS + TTL_MS),  # a millisecond is left, by event time and by the clock
        (TTL_MS + 1, NOW_MS + TTL_MS),  # by the clock
    ],
)
def test_nobody_expires_before_that(after_ms: int, at_ms: int) -> None:
    assert found(expire(work(log(after_ms)), at_ms=at_ms)) == {"O1 state"}


@pytest.mark.parametrize("topic", ["scores", "changelog"])
def test_state_and_score_go_together(topic: str) -> None:
    evidence = work(log())
    kept: dict[str, Any] = {topic: getattr(evidence, topic)}

    assert found(expire(evidence)._replace(**kept))


def test_a_tombstone_names_the_users_last_event() -> None:
    assert "O1 state" in found(expire(work(log()), offset=1))


def test_who_expired_starts_over() -> None:
    events = [*log(), event(0, 2, OLD, NOW_MS + 5)]
    before, after = work(log()), work([*log(), event(0, 2, OLD, NOW_MS + 5)])
    assert faithful.__name__ and found(after) == set()

    # The same log, but the user was deleted between their two events, and the second stands alone.
    alone = work([events[1], events[2]])
    told = expire(before)
    evidence = after._replace(
        scores=[*told.scores, *(r for r in alone.scores if r.key == OLD.encode())],
        changelog=[*told.changelog, *(r for r in alone.changelog if r.key == OLD.encode())],
    )
    assert found(evidence) == set()
    continued = [r for r in after.changelog if r.key == OLD.encode()][-1]
    assert "O1 state" in found(evidence._replace(changelog=[*told.changelog, continued]))
