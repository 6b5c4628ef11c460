"""The Faust consumer adapter: whole lists, each record once, none lost in a rebalance."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import faust
import pytest
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaConnectionError
from aiokafka.structs import OffsetAndMetadata
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream.events import Message
from stream.group.faust_app import build_app
from stream.group.faust_consumer import FaustConsumer
from stream.group.faust_driver import BulkRecovery
from stream.group.offset_metadata import OffsetMetadata
from stream.settings import WorkerSettings
from tests.stream.fakes import click, settle
from tests.stream.world import on_a_loop


def new_app(directory: Path) -> faust.App:
    settings = WorkerSettings.load(artifact="a", state_dir=str(directory), bootstrap="127.0.0.1:1")
    return build_app(settings, partitions=2, instance_id="me")


class RecordingListener:
    """Records what it is given; may have no room."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, list[int]]] = []
        self.recovered: list[frozenset[int]] = []
        self.revoked = 0
        self.room = asyncio.Event()
        self.room.set()

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        self.recovered.append(partitions)

    async def on_records(self, partition: int, messages: Sequence[Message]) -> None:
        self.taken.append((partition, [message.offset for message in messages]))
        await self.room.wait()

    async def on_revoked(self) -> None:
        self.revoked += 1


class Reading:
    """Our consumer on a log that is written by hand: partition 0 of a topic, from the start."""

    def __init__(self, directory: Path) -> None:
        self.listener = RecordingListener()
        self.app: Any = new_app(directory)
        self.answered: list[float] = []
        self.adapter = FaustConsumer(
            self.app, "lately.events", self.listener, self.answered.append, lambda refusal: True
        )
        consumer: Any = self.app._new_consumer()
        consumer._getmany = self._getmany
        consumer._get_active_partitions = lambda: {TP("lately.events", 0)}
        consumer.perform_seek = self._seek_to_committed
        consumer._thread = self
        self.consumer = consumer
        self.topic = "lately.events"
        self.committed = self.position = self.end = self.markers = 0
        self._timed_out = False

    # What the adapter calls on Faust's thread and on aiokafka's consumer in it.

    def _ensure_consumer(self) -> Any:
        assignment = SimpleNamespace(all_consumed_offsets=self._read_up_to)
        return SimpleNamespace(
            _subscription=SimpleNamespace(subscription=SimpleNamespace(assignment=assignment))
        )

    def _read_up_to(self) -> dict[TopicPartition, OffsetAndMetadata]:
        read = self.position + (self.markers if self.position == self.end else 0)
        return {TopicPartition("lately.events", 0): OffsetAndMetadata(read, "")}

    def highwater(self, tp: TP) -> int:
        return self.end + self.markers

    async def _getmany(self, active_partitions: object, timeout: float) -> Any:  # noqa: ASYNC109
        while self.position == self.end and not self._timed_out:
            await asyncio.sleep(0)
        self._timed_out = False
        start, self.position = self.position, self.end
        records = [click(offset=n) for n in range(start, self.end)]
        return {TP(self.topic, 0): records} if records else {}

    async def _seek_to_committed(self) -> None:
        self.position = self.committed

    async def append(self, records: int) -> None:
        """Kafka has so many records more."""
        self.end += records
        await settle()

    async def rebalance(self, *, fetch_times_out: bool) -> None:
        """The partition is revoked and given back, as Faust does it."""
        self.consumer.stop_flow()
        self._timed_out = fetch_times_out
        await settle()
        await self.consumer.on_partitions_assigned({TP("lately.events", 0)}, 1)
        await self.recover()
        self.consumer.resume_flow()
        await settle()

    async def recover(self) -> None:
        """Faust recovers the partition, and seeks."""
        self.consumer.assignment = lambda: {TP("lately.events", 0)}
        changelog = {TP("changelog", 0)}
        await self.app.tables.recovery._seek_offsets(self.consumer, changelog, {}, "active")
        await self._seek_to_committed()


@asynccontextmanager
async def reading(directory: Path) -> AsyncIterator[Reading]:
    r = Reading(directory)
    task = asyncio.create_task(r.consumer._drain_messages(r.consumer))
    await settle()
    try:
        yield r
    finally:
        task.cancel()
        await asyncio.wait({task})


@on_a_loop
async def test_whole_lists_are_handed_over_in_order(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        await r.append(3)
        await r.append(1)

        assert r.listener.taken == [(0, [0, 1, 2]), (0, [3])]


@on_a_loop
async def test_events_end_where_the_last_record_does_and_not_behind_the_markers_of_transactions(
    tmp_path: Path,
) -> None:
    async with reading(tmp_path) as r:
        tp = TP("lately.events", 0)
        await r.append(3)
        assert r.consumer.end_of(tp) == 3
        r.markers = 2  # not read yet: who knows what stands there
        assert r.consumer.end_of(tp) == 5
        r._timed_out = True
        await settle()

        assert r.consumer.end_of(tp) == 3


@on_a_loop
async def test_markers_alone_are_nothing_to_wait_for(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        r.markers = 1
        assert r.consumer.end_of(TP("lately.events", 0)) == 1
        r._timed_out = True
        await settle()

        assert r.consumer.end_of(TP("lately.events", 0)) == 0


@on_a_loop
async def test_records_of_another_topic_are_not_ours(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        r.topic = "lately-state-changelog"
        await r.append(3)

        assert r.listener.taken == []


@on_a_loop
async def test_a_record_read_again_is_handed_over_once(tmp_path: Path) -> None:
    async with reading(tmp_path) as r:
        await r.append(2)
        await r._seek_to_committed()  # as Faust does while records already flow
        await settle()
        r.position = 1
        await r.append(1)

        assert r.listener.taken == [(0, [0, 1]), (0, [2])]


@pytest.fixture
def no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    async def assigned(self: Any, assigned: set[TP], generation_id: int = 0) -> None:
        """What Faust does in a group."""

    monkeypatch.setattr(driver.Consumer, "on_partitions_assigned", assigned)


@pytest.mark.usefixtures("no_group")
@pytest.mark.parametrize("fetch_times_out", [True, False])
def test_after_a_rebalance_every_record_comes_again_from_the_committed_offset_on(
    tmp_path: Path, fetch_times_out: bool
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with reading(tmp_path) as r:
            await r.append(4)
            r.committed = 1
            await r.rebalance(fetch_times_out=fetch_times_out)
            await r.append(2)

            assert r.listener.taken[0] == (0, [0, 1, 2, 3])
            again = [offset for _, offsets in r.listener.taken[1:] for offset in offsets]
            assert again == [1, 2, 3, 4, 5]

    scenario()


@pytest.mark.usefixtures("no_group")
def test_records_that_come_while_the_flow_is_stopped_come_again_afterwards(
    tmp_path: Path,
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with reading(tmp_path) as r:
            r.consumer.stop_flow()
            await r.append(2)
            assert r.listener.taken == []

            await r.rebalance(fetch_times_out=False)
            assert r.listener.taken == [(0, [0, 1])]

    scenario()


@pytest.mark.usefixtures("no_group")
def test_records_that_come_before_the_partition_is_recovered_come_again_afterwards(
    tmp_path: Path,
) -> None:
    """A member without partitions has its flow on when it is given one: Faust stops none."""

    @on_a_loop
    async def scenario() -> None:
        async with reading(tmp_path) as r:
            await r.consumer.on_partitions_assigned({TP("lately.events", 0)}, 1)
            await r.append(2)
            assert r.listener.taken == []

            await r.recover()
            await settle()
            assert r.listener.taken == [(0, [0, 1])]

    scenario()


@pytest.mark.usefixtures("no_group")
def test_a_recovery_that_an_assignment_overtakes_lets_nothing_flow(tmp_path: Path) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with reading(tmp_path) as r:
            await r.consumer.on_partitions_assigned({TP("lately.events", 0)}, 1)
            overtaken = r.consumer.epoch
            await r.consumer.on_partitions_assigned({TP("lately.events", 0)}, 2)
            r.consumer.mark_recovered(overtaken)
            await r.append(2)

            assert r.listener.taken == []

    scenario()


@on_a_loop
async def test_a_seek_while_partitions_change_hands_is_no_end(tmp_path: Path) -> None:
    async def seek() -> None:
        r.position = 0
        raise IllegalStateError("No current assignment for partition 0")

    async with reading(tmp_path) as r:
        r.consumer.perform_seek = seek
        r.consumer.stop_flow()
        await r.append(1)
        r.consumer.resume_flow()
        await r.append(1)

        assert r.listener.taken == [(0, [0, 1])]


@pytest.mark.usefixtures("no_group")
def test_a_listener_without_room_holds_up_reading_but_no_rebalance(tmp_path: Path) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with reading(tmp_path) as r:
            r.listener.room.clear()
            await r.append(1)
            await r.append(1)
            assert r.listener.taken == [(0, [0])]

            r.listener.room.set()
            await settle()
            assert r.listener.taken == [(0, [0]), (0, [1])]

            r.listener.room.clear()
            await r.append(1)
            r.listener.taken.clear()
            await r.rebalance(fetch_times_out=True)  # comes through, though there is no room
            assert r.listener.taken == [(0, [0, 1, 2])]

    scenario()


@on_a_loop
async def test_the_listener_recovers_and_leaves_nothing_to_faust(tmp_path: Path) -> None:
    r = Reading(tmp_path)
    recovery = r.app.tables.recovery

    assert isinstance(recovery, BulkRecovery)
    changelog = {TP("changelog", 1), TP("changelog", 0)}
    events = {TP("lately.events", 1), TP("lately.events", 0)}
    recovered: list[int] = []
    assigned = SimpleNamespace(
        assignment=lambda: changelog | events, epoch=3, mark_recovered=recovered.append
    )
    await recovery._seek_offsets(assigned, changelog, {}, "active")

    assert r.listener.recovered == [frozenset({0, 1})]
    assert recovered == [3]
    assert not recovery.need_recovery()


@on_a_loop
async def test_partitions_of_the_changelog_alone_are_none_of_ours(tmp_path: Path) -> None:
    # The events topic was missing when the group shared the partitions out.
    r = Reading(tmp_path)
    changelog = {TP("changelog", 1), TP("changelog", 0)}
    assigned = SimpleNamespace(
        assignment=lambda: changelog, epoch=1, mark_recovered=lambda epoch: None
    )
    await r.app.tables.recovery._seek_offsets(assigned, changelog, {}, "active")

    assert r.listener.recovered == [frozenset()]


@on_a_loop
async def test_only_a_revocation_of_our_partitions_reaches_the_listener(tmp_path: Path) -> None:
    r = Reading(tmp_path)

    await r.app.on_partitions_revoked.send({TP("other", 0)})
    assert r.listener.revoked == 0
    await r.app.on_partitions_revoked.send({TP("other", 0), TP("lately.events", 1)})
    assert r.listener.revoked == 1


# --- commits -------------------------------------------------------------------------------------


class Thread:
    """Faust's consumer thread, with a client that answers as told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.committed: list[dict[TopicPartition, tuple[int, str]]] = []
        self.rejoins = 0
        self._error = error

    def _ensure_consumer(self) -> "Thread":
        return self

    @property
    def _coordinator(self) -> "Thread":
        return self

    async def fetch_committed_offsets(
        self, wanted: Sequence[TopicPartition]
    ) -> dict[TopicPartition, OffsetAndMetadata]:
        noted = {0: (5, ""), 1: (9, "scores_end=4"), 2: (-1, ""), 3: (7, "of another tool")}
        return {tp: OffsetAndMetadata(*noted[tp.partition]) for tp in wanted if tp.partition < 4}

    def request_rejoin(self) -> None:
        self.rejoins += 1

    async def end_offsets(self, wanted: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        return {tp: 100 + tp.partition for tp in wanted}

    async def call_thread(self, function: Any, *args: Any) -> Any:
        return await function(*args)

    async def commit(self, offsets: dict[TopicPartition, tuple[int, str]]) -> None:
        if self._error is not None:
            raise self._error
        self.committed.append(offsets)


def committing(directory: Path, thread: Thread) -> FaustConsumer:
    r = Reading(directory)
    r.consumer._thread = thread
    r.app._consumer = r.consumer
    return r.adapter


@on_a_loop
async def test_offsets_are_committed_for_the_events_topic(tmp_path: Path) -> None:
    thread = Thread()

    assert await committing(tmp_path, thread).commit(
        {0: OffsetMetadata(5), 1: OffsetMetadata(9, "scores_end=4")}
    )
    assert thread.committed == [
        {
            TopicPartition("lately.events", 0): (5, ""),
            TopicPartition("lately.events", 1): (9, "scores_end=4"),
        }
    ]


@on_a_loop
async def test_commits_are_fetched_with_their_metadata(
    tmp_path: Path,
) -> None:
    # 2 (the protocol has -1) and 4 were never committed; another tool committed 3.
    assert await committing(tmp_path, Thread()).fetch_committed({0, 1, 2, 3, 4}) == {
        0: OffsetMetadata(5),
        1: OffsetMetadata(9, "scores_end=4"),
        2: None,
        3: OffsetMetadata(7, "of another tool"),
        4: None,
    }


@on_a_loop
async def test_the_ends_of_any_partitions_can_be_fetched(tmp_path: Path) -> None:
    ends = await committing(tmp_path, Thread()).fetch_ends([("scores", 1), ("changelog", 2)])

    assert ends == {("scores", 1): 101, ("changelog", 2): 102}


@pytest.mark.parametrize("error", [CommitFailedError("moved on"), IllegalStateError("not ours")])
def test_a_commit_after_the_group_moved_on_is_not_an_error(
    tmp_path: Path, error: Exception
) -> None:
    @on_a_loop
    async def scenario() -> None:
        assert not await committing(tmp_path, Thread(error)).commit({0: OffsetMetadata(5)})

    scenario()


@on_a_loop
async def test_a_broker_that_is_gone_raises(tmp_path: Path) -> None:
    with pytest.raises(KafkaConnectionError):
        await committing(tmp_path, Thread(KafkaConnectionError())).commit({0: OffsetMetadata(5)})


@on_a_loop
async def test_before_the_first_assignment_there_are_no_ends(tmp_path: Path) -> None:
    assert Reading(tmp_path).adapter.ends() == {}


# --- the app -------------------------------------------------------------------------------------


@on_a_loop
async def test_the_table_gives_the_changelog_the_name_that_we_write_to(tmp_path: Path) -> None:
    settings = WorkerSettings.load(artifact="a", state_dir=str(tmp_path), group="shop")
    app = build_app(settings, partitions=3, instance_id="me")

    (table,) = app.tables.values()

    assert table.changelog_topic.get_topic_name() == settings.changelog_topic
    assert table.partitions == 3


@on_a_loop
async def test_the_tables_are_registered_without_a_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = new_app(tmp_path)
    app._consumer = SimpleNamespace(assignment=set, pause_partitions=lambda partitions: None)
    tables = app.tables
    tables._recovery = SimpleNamespace(start=settle)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(tables, "sleep", sleep)

    await tables.on_start()
    await tables.wait_until_tables_registered()

    assert tables._tables_registered.is_set()
    assert slept == []


@on_a_loop
async def test_faust_declares_nothing_serves_nothing_and_keeps_no_standby(tmp_path: Path) -> None:
    conf = new_app(tmp_path).conf

    assert not conf.topic_allow_declare
    assert conf.topic_disable_leader
    assert not conf.web_enabled
    assert conf.table_standby_replicas == 0
    assert conf.consumer_group_instance_id == "me"


# --- seeks ---------------------------------------------------------------------------------------


class SeekingThread(Thread):
    """A thread that knows what the group has committed, and notes what is sought to its start."""

    def __init__(self, committed: dict[TP, int | None]) -> None:
        super().__init__()
        self.group = committed
        self.to_start: list[TopicPartition] = []

    def assignment(self) -> set[TP]:
        return set(self.group)

    async def seek_to_committed(self) -> dict[TP, int | None]:
        return self.group

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        self.to_start += partitions


@on_a_loop
async def test_a_partition_without_a_commit_is_sought_back_to_its_start(tmp_path: Path) -> None:
    r = Reading(tmp_path)
    fresh, old = TP("lately.events", 0), TP("lately.events", 1)
    thread = SeekingThread({fresh: None, old: 7, TP("lately-state-changelog", 0): None})
    r.consumer._thread = thread
    del r.consumer.perform_seek  # our own, not the one of this test's log

    await r.consumer.perform_seek()

    assert thread.to_start == [TopicPartition("lately.events", 0)]


@pytest.mark.usefixtures("no_group")
def test_being_given_partitions_is_an_answer_of_the_group(tmp_path: Path) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with reading(tmp_path) as r:
            await r.rebalance(fetch_times_out=True)

            assert len(r.answered) == 1

    scenario()


@pytest.mark.parametrize("success", [True, False])
def test_only_a_heartbeat_that_is_answered_counts_from_when_it_was_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, success: bool
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with reading(tmp_path) as r:
            times_s = iter([7.0, 100.0])

            async def start(thread: Any) -> None:
                thread._consumer = SimpleNamespace(
                    _coordinator=SimpleNamespace(_do_heartbeat=beat, _send_req=None),
                    _client=SimpleNamespace(_get_conn=connect),
                )

            async def beat() -> bool:
                return success

            async def connect() -> None:
                """Of aiokafka's client; its attempts are spaced."""

            monkeypatch.setattr(driver.AIOKafkaConsumerThread, "on_start", start)
            clock = SimpleNamespace(monotonic=lambda: next(times_s))
            monkeypatch.setattr("stream.kafka.client_internals.time", clock)
            thread = r.consumer._new_consumer_thread()
            await thread.on_start()

            assert await thread._consumer._coordinator._do_heartbeat() == success
            assert r.answered == [7.0] * success
            assert thread._consumer._client._get_conn is not connect

    scenario()


@on_a_loop
async def test_the_group_is_asked_for_our_partitions_anew(tmp_path: Path) -> None:
    thread = Thread()
    await committing(tmp_path, thread).rejoin()

    assert thread.rejoins == 1
