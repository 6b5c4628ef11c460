"""A group member: what its handler and readiness see of assignments and revocations."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import pytest
from aiokafka.errors import (
    GroupAuthorizationFailedError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
)
from aiokafka.errors import NotLeaderForPartitionError as NotLeaderForPartition
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from stream.errors import BrokerError, FencedError, GroupError, LatelyError, StateError
from stream.events import Message
from stream.group.faust_app import build_app
from stream.group.member import LOST_S, REVOKE_S, GroupMember
from stream.group.offset_metadata import OffsetMetadata
from stream.health import Condition, Health
from stream.kafka.client_internals import Refusal
from stream.kafka.lease import Lease
from stream.metrics import Metrics
from stream.settings import WorkerSettings
from tests.stream.world import on_a_loop

SESSION_S = 10.0


class FakeHandler:
    """Writes down its calls; ``error`` is raised by the next recovery."""

    def __init__(self) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fenced: asyncio.Queue[FencedError] = asyncio.Queue(maxsize=1)
        self.calls: list[Any] = []
        self.error: Exception | None = None
        self.idle = True

    async def recover(self, committed: Mapping[int, OffsetMetadata | None]) -> None:
        self.calls.append(("recover", dict(committed)))
        if self.error is not None:
            raise self.error

    async def ingest(self, partition: int, messages: Sequence[Message]) -> None:
        self.calls.append(("ingest", partition, messages))

    async def drain(self, timeout_s: float) -> bool:
        self.calls.append(("drain", timeout_s))
        return True

    async def revoke(self, timeout_s: float) -> bool:
        self.calls.append(("revoke", round(timeout_s)))
        return self.idle

    def offsets(self) -> dict[int, OffsetMetadata]:
        return {0: OffsetMetadata(7, "note")}

    def mark_committed(self, offsets: Mapping[int, int]) -> None:
        self.calls.append(("committed", dict(offsets)))

    def release(self, error: FencedError) -> None:
        self.calls.append(("release", error))

    def fail(self, error: BaseException) -> None:
        self.failed.set_exception(error)

    def failure(self) -> BaseException | None:
        return self.failed.exception() if self.failed.done() else None


class Joined:
    """A member with a fake handler, and a consumer that answers without a broker."""

    def __init__(self, directory: Path) -> None:
        settings = WorkerSettings.load(
            artifact="a", state_dir=str(directory), bootstrap="127.0.0.1:1"
        )
        self.now_s = 0.0
        self.lease = Lease(SESSION_S, lambda: self.now_s)
        self.lease.renew(0.0)
        self.handler = FakeHandler()
        self.health = Health(0.0)
        for condition in get_args(Condition):
            self.health.set_ok(condition)
        self.metrics = Metrics(CollectorRegistry())
        self.member = GroupMember(
            build_app(settings, 2, "me"),
            "events",
            self.handler,
            lease=self.lease,
            health=self.health,
            commits=self.metrics.commits,
            rebalances=self.metrics.rebalances,
        )
        self.commits: list[dict[int, OffsetMetadata]] = []
        self.fetch_error: Exception | None = None
        consumer: Any = self.member.consumer
        consumer.fetch_committed = self._fetch_committed
        consumer.commit = self._commit

    async def _fetch_committed(
        self, partitions: frozenset[int]
    ) -> dict[int, OffsetMetadata | None]:
        if self.fetch_error is not None:
            raise self.fetch_error
        return {number: OffsetMetadata(5) for number in partitions}

    async def _commit(self, offsets: Mapping[int, OffsetMetadata]) -> bool:
        self.commits.append(dict(offsets))
        return True


@on_a_loop
async def test_assigned_partitions_are_recovered_from_their_commits_and_then_ready(
    tmp_path: Path,
) -> None:
    j = Joined(tmp_path)
    j.health.set_failed("state", "not yet")
    await j.member.on_assigned(frozenset({0, 1}))

    assert j.handler.calls == [("recover", {0: OffsetMetadata(5), 1: OffsetMetadata(5)})]
    assert j.health.ready() == (True, {})


@on_a_loop
async def test_a_rebalance_is_a_line_when_partitions_go_and_when_they_come(tmp_path: Path) -> None:
    j = Joined(tmp_path)
    with capture_logs() as logs:
        await j.member.on_revoked()
        await j.member.on_assigned(frozenset({3, 1}))

    revoked, assigned = logs
    assert (revoked["event"], revoked["finishing"]) == ("rebalance: partitions revoked", True)
    assert (assigned["event"], assigned["partitions"]) == ("partitions assigned", [1, 3])
    assert j.metrics.rebalances._value.get() == 1


@on_a_loop
async def test_without_partitions_the_member_is_not_ready(tmp_path: Path) -> None:
    j = Joined(tmp_path)
    await j.member.on_assigned(frozenset())

    assert list(j.health.ready()[1]) == ["partitions"]


@pytest.mark.parametrize("error", [StateError("the disk is full"), LatelyError("no")])
def test_an_error_of_the_recovery_fails_the_handler_and_not_faust(
    tmp_path: Path, error: Exception
) -> None:
    @on_a_loop
    async def scenario() -> None:
        j = Joined(tmp_path)
        j.handler.error = error
        j.health.set_failed("state", "not yet")
        await j.member.on_assigned(frozenset({0}))  # raising here would be a crash of Faust's

        assert j.handler.failure() is error
        assert not j.health.ready()[0]

    scenario()


@on_a_loop
async def test_a_missing_right_is_one_line_that_names_it(tmp_path: Path) -> None:
    j = Joined(tmp_path)
    j.fetch_error = GroupAuthorizationFailedError("lately")
    await j.member.on_assigned(frozenset({0}))

    assert isinstance(j.handler.failure(), BrokerError)
    assert "group lately" in str(j.handler.failure())


@pytest.mark.parametrize("where", ["commits", "recovery"])
@pytest.mark.parametrize(
    "error",
    [KafkaConnectionError(), KafkaTimeoutError("no answer in 5 s"), NotLeaderForPartition()],
)
@on_a_loop
async def test_a_broker_that_breaks_off_while_partitions_are_taken_over_is_one_line(
    tmp_path: Path, where: str, error: KafkaError
) -> None:
    # Faust would log it as a crash of its own, and the worker as a defect.
    j = Joined(tmp_path)
    if where == "commits":
        j.fetch_error = error
    else:
        j.handler.error = error

    await j.member.on_assigned(frozenset({0}))

    assert isinstance(j.handler.failure(), BrokerError)
    assert re.search(
        r"^the broker broke off .*; look at the broker and at the leaders", str(j.handler.failure())
    )


@on_a_loop
async def test_a_foreign_write_during_recovery_releases_the_partitions(tmp_path: Path) -> None:
    j = Joined(tmp_path)
    j.handler.error = error = FencedError("another writer")
    await j.member.on_assigned(frozenset({0}))

    assert j.handler.calls[-1] == ("release", error)
    assert j.handler.failure() is None


@on_a_loop
async def test_records_go_to_the_handler(tmp_path: Path) -> None:
    j = Joined(tmp_path)
    await j.member.on_records(1, [])

    assert j.handler.calls == [("ingest", 1, [])]


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        ("unknown", "another worker with our instance id me has taken our place"),
        ("replaced", "another worker with our instance id me has taken our place"),
        ("protocol", "is used by consumers that are no workers of Lately; set another --group"),
    ],
)
def test_a_group_that_refuses_us_ends_the_worker_with_what_to_change(
    tmp_path: Path, refusal: Refusal, words: str
) -> None:
    @on_a_loop
    async def scenario() -> None:
        j = Joined(tmp_path)
        assert await asyncio.to_thread(j.member._on_refused, refusal)  # on the consumer's thread
        await asyncio.sleep(0)

        assert isinstance(j.handler.failure(), GroupError)
        assert str(j.handler.failure()).startswith("group lately")
        assert words in str(j.handler.failure())

    scenario()


@on_a_loop
async def test_a_member_whose_session_is_over_joins_again(tmp_path: Path) -> None:
    j = Joined(tmp_path)
    j.now_s = SESSION_S
    assert not j.member._on_refused("unknown")
    await asyncio.sleep(0)

    assert j.handler.failure() is None


@on_a_loop
async def test_revoked_partitions_are_finished_and_committed_while_they_are_ours(
    tmp_path: Path,
) -> None:
    j = Joined(tmp_path)
    await j.member.on_revoked()

    assert j.handler.calls == [
        ("drain", REVOKE_S),
        ("committed", {0: 7}),
        ("revoke", round(REVOKE_S)),
    ]
    assert j.commits == [{0: OffsetMetadata(7, "note")}]
    assert list(j.health.ready()[1]) == ["partitions", "state"]


@on_a_loop
async def test_lost_partitions_are_neither_finished_nor_committed(tmp_path: Path) -> None:
    j = Joined(tmp_path)
    j.now_s = SESSION_S  # the lease has expired: another member may own them
    await j.member.on_revoked()

    assert j.handler.calls == [("revoke", round(LOST_S))]
    assert j.commits == []


@on_a_loop
async def test_batches_still_in_flight_after_a_revocation_end_the_process(tmp_path: Path) -> None:
    j = Joined(tmp_path)
    j.handler.idle = False
    await j.member.on_revoked()

    assert f"has not acknowledged our batches for {REVOKE_S:g} s" in str(j.handler.failure())


@on_a_loop
async def test_an_assignment_commits_again_what_was_committed_before(tmp_path: Path) -> None:
    j = Joined(tmp_path)
    await j.member.drain(1.0)
    await j.member.drain(1.0)
    assert len(j.commits) == 1  # nothing new the second time

    await j.member.on_assigned(frozenset({0}))
    await j.member.drain(1.0)
    assert len(j.commits) == 2
