"""The bulk lane: everything that touches Faust's private names, and nothing else.

Faust runs the group: membership, assignment, rebalances, life and death. Its way of an event,
one task and three turns of the loop each, is what we step around: whole record lists go from its
fetcher to the sink, recovery reads in bulk, and commits are ours. The contract tests in
tests/stream/group/test_faust_contract.py fail when Faust changes what is used here.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError
from faust.tables.recovery import Recovery as FaustRecovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream.events import Message
from stream.group.handler import Sink
from stream.group.offset_metadata import Commit
from stream.kafka.lenient_headers import read_any_header

FETCH_WAIT_MS = 100
_log = structlog.get_logger(__name__)
_faust_log = logging.getLogger("faust")  # what Faust says in our subclasses is still Faust's


class Lane:
    """Attaches a sink to a Faust app that has a topic of events and one table.

    ``answered`` is told of each heartbeat that the group answered when it was sent, in seconds of
    ``time.monotonic``, on the consumer's thread.
    """

    def __init__(
        self, app: faust.App, events_topic: str, sink: Sink, answered: Callable[[float], None]
    ) -> None:
        self._app = app
        self._topic = events_topic
        self._sink = sink
        app.transport = _transport(app, events_topic, sink, answered)
        # Subscribes the consumer to the topic without an agent.
        app.topics.add(app.topic(events_topic, key_type=bytes, value_type=bytes))
        tables: Any = app.tables
        tables._recovery = _BulkRecovery(
            app, tables, sink=sink, beacon=tables.beacon, loop=tables.loop
        )
        app.on_partitions_revoked.connect(self._on_revoked)  # type: ignore[arg-type]

    async def start(self) -> None:
        """Join the group; returns before partitions are assigned."""
        self._app.finalize()
        await self._app.start()

    async def stop(self) -> None:
        """Leave; call after the sink has finished and its offsets are committed."""
        await self._app.stop()

    async def wait_until_stopped(self) -> BaseException | None:
        """Wait for Faust to end; what it ended of, None after `stop`."""
        await self._app.wait_until_stopped()
        return self._app.crash_reason if self._app.crashed else None

    def stop_flow(self) -> None:
        """Hand over no more records; those on their way are dropped, and come again."""
        if self._app._consumer is not None:
            self._app._consumer.stop_flow()

    async def rejoin(self) -> None:
        """Ask the group for our partitions anew; they are revoked, recovered, and read again."""
        thread: Any = self._app.consumer._thread  # type: ignore[attr-defined]
        coordinator = thread._ensure_consumer()._coordinator

        async def request() -> None:
            coordinator.request_rejoin()

        await thread.call_thread(request)

    async def commit(self, offsets: Mapping[int, int], scores_ends: Mapping[int, int]) -> bool:
        """Commit source offsets (partition → next offset); False if we lost the partitions.

        Beside each, ``scores_ends`` is noted: up to where its scores are our own, if that is known.
        Raises KafkaError when the broker cannot be reached or refuses.
        """
        consumer: Any = self._app.consumer
        thread = consumer._thread
        client = thread._ensure_consumer()
        wanted = {
            TopicPartition(self._topic, number): (
                offset,
                Commit(offset, scores_ends.get(number)).metadata,
            )
            for number, offset in offsets.items()
        }
        try:
            await thread.call_thread(client.commit, wanted)
        except (CommitFailedError, IllegalStateError) as error:
            _log.warning("offsets not committed: the group has moved on", error=str(error))
            return False
        return True

    async def commits(self, partitions: Iterable[int]) -> dict[int, Commit | None]:
        """What is committed of each of these partitions; raises KafkaError."""
        wanted = [TopicPartition(self._topic, number) for number in sorted(partitions)]
        thread: Any = self._app.consumer._thread  # type: ignore[attr-defined]
        coordinator = thread._ensure_consumer()._coordinator
        found = await thread.call_thread(coordinator.fetch_committed_offsets, wanted)
        return {tp.partition: _commit(found.get(tp)) for tp in wanted}

    async def ends_of(self, places: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
        """Where these partitions, of any topics, end now; raises KafkaError."""
        consumer: Any = self._app._consumer
        if consumer is None:
            return {}
        thread = consumer._thread
        wanted = [TopicPartition(topic, number) for topic, number in places]
        found = await thread.call_thread(thread._ensure_consumer().end_offsets, wanted)
        return {(tp.topic, tp.partition): end for tp, end in found.items()}

    def ends(self) -> dict[int, int]:
        """Where the events of each assigned partition end, as of its last fetch, if it had one."""
        consumer: Any = self._app._consumer
        if consumer is None:
            return {}
        try:
            assigned = consumer.assignment()
            ends = {tp.partition: consumer.end_of(tp) for tp in assigned if self._is_ours(tp)}
        except (KafkaError, faust.exceptions.FaustError):
            return {}  # the assignment is changing under us
        return {partition: end for partition, end in ends.items() if end is not None}

    def committed(self) -> dict[int, int]:
        """Where each assigned partition was committed when it was assigned, if it ever was."""
        consumer: Any = self._app._consumer
        if consumer is None:
            return {}
        committed = dict(consumer._committed_offset)
        return {tp.partition: o for tp, o in committed.items() if self._is_ours(tp) and o}

    def _is_ours(self, tp: TP) -> bool:
        return bool(tp.topic == self._topic)

    async def _on_revoked(self, app: Any, revoked: set[TP], **_: Any) -> None:
        if any(self._is_ours(tp) for tp in revoked):
            await self._sink.revoke()


def _commit(found: Any) -> Commit | None:
    """From aiokafka's offset and metadata; -1 is the protocol's word for none."""
    return None if found is None or found.offset < 0 else Commit.of(found.offset, found.metadata)


def _transport(
    app: faust.App, events_topic: str, sink: Sink, answered: Callable[[float], None]
) -> driver.Transport:
    """Faust's transport, with a consumer that feeds the sink."""

    class BulkConsumer(_BulkConsumer):
        topic = events_topic
        feed = staticmethod(sink.ingest)
        heartbeat_answered = staticmethod(answered)

    class BulkTransport(driver.Transport):
        Consumer = BulkConsumer

    return BulkTransport(app.conf.broker_consumer, app)


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread with aiokafka's consumer in it, who waits for records as long as we like."""

    logger = _faust_log

    async def on_start(self) -> None:
        """Start the consumer, and see when its heartbeats are answered."""
        await super().on_start()
        coordinator: Any = self._ensure_consumer()._coordinator
        beat = coordinator._do_heartbeat
        bulk: Any = self.consumer
        answered = bulk.heartbeat_answered

        async def beat_and_tell() -> bool:
            sent_s = time.monotonic()
            success: bool = await beat()
            if success:
                answered(sent_s)
            return success

        coordinator._do_heartbeat = beat_and_tell

    def _create_worker_consumer(self, transport: Any) -> Any:
        read_any_header()
        consumer: Any = super()._create_worker_consumer(transport)
        # Faust fixes 1.5 s. Kafka answers as soon as there is a record, but some brokers do not.
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        # What a producer has taken back was never an event.
        consumer._isolation_level = "read_committed"
        return consumer


class _BulkConsumer(driver.Consumer):
    """Hands record lists over whole, each record once per generation."""

    logger = _faust_log
    topic: str
    feed: Callable[[int, Sequence[Message]], Awaitable[None]]
    heartbeat_answered: Callable[[float], None]

    def __post_init__(self) -> None:
        # Counts assignments. Not Faust's generation: a static member that rejoins keeps that.
        self._epoch = 0
        self._next_offset: dict[int, int] = {}
        self._read_up_to: dict[TP, int] = {}
        self._records_end: dict[TP, int] = {}

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Whatever was fetched until now is of an assignment that is over.

        Here, and not when partitions are revoked: after that records still flow for a moment, and
        what of them the sink lets go unfinished must be fetched again.
        """
        self._epoch += 1
        self._next_offset.clear()
        self.heartbeat_answered(time.monotonic())
        await super().on_partitions_assigned(assigned, generation_id)

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            await self._fetch_forever(fetcher)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise

    async def _fetch_forever(self, fetcher: Any) -> None:
        while not (self._stopped.is_set() or fetcher._stopped.is_set()):
            epoch = self._epoch
            records, _ = await self._wait_next_records(1.0)
            self._note_ends(records or {})
            await asyncio.sleep(0)
            if self.should_stop or not records:
                continue
            # A fetch that began before an assignment may end with records of after it: the position
            # has passed them, so they must be read again.
            if not self.flow_active or epoch != self._epoch:
                await self._seek_back()
                continue
            for tp, messages in records.items():
                if tp.topic == self.topic and epoch == self._epoch and self.flow_active:
                    await self._hand_over(tp.partition, messages)

    def _note_ends(self, records: Mapping[TP, Sequence[Message]]) -> None:
        """See how far is read, and where its last record is: nothing is fetched in between.

        Both stay true of the log, whoever owns the partition.
        """
        for tp, messages in records.items():
            self._records_end[tp] = messages[-1].offset + 1
        thread: Any = self._thread
        subscription = thread._ensure_consumer()._subscription.subscription
        if subscription is not None and subscription.assignment is not None:
            read = subscription.assignment.all_consumed_offsets()
            self._read_up_to.update({tp: found.offset for tp, found in read.items()})

    def end_of(self, tp: TP) -> int | None:
        """Where the records end: behind them Kafka may write markers of transactions."""
        end: int | None = self.highwater(tp)
        read = end is not None and self._read_up_to.get(tp, -1) >= end
        return self._records_end.get(tp, 0) if read else end

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, and to the start where nothing was ever committed.

        Faust's own leaves a partition without a commit where it is, past records that were fetched
        and dropped.
        """
        await super().perform_seek()
        fresh = [
            TopicPartition(tp.topic, tp.partition)
            for tp in self.assignment()
            if tp.topic == self.topic and not self._committed_offset[tp]
        ]
        if fresh:
            thread: Any = self._thread
            await thread.call_thread(thread._ensure_consumer().seek_to_beginning, *fresh)

    async def _seek_back(self) -> None:
        try:
            await self.perform_seek()
        except KafkaError as error:
            # Partitions that change hands are sought when they are assigned. Those that stay ours
            # must be, or what was dropped is lost.
            if self.flow_active and not isinstance(error, IllegalStateError):
                raise
            _log.debug("no seek while partitions change hands", error=str(error))

    async def _hand_over(self, partition: int, messages: Sequence[Message]) -> None:
        """Feed what is new.

        After a recovery Faust seeks to the committed offsets while records already flow, so those
        that were handed over are fetched once more.
        """
        next_offset = self._next_offset.get(partition, -1)
        if messages[0].offset < next_offset:
            messages = [message for message in messages if message.offset >= next_offset]
            if not messages:
                return
        self._next_offset[partition] = messages[-1].offset + 1
        feeding = asyncio.ensure_future(self.feed(partition, messages))
        # A sink that waits for room must not hold up a rebalance.
        await self.wait_first(feeding, self.suspend_flow.wait())

    async def verify_all_partitions_active(self) -> None:
        """Faust's watch over acknowledged events, of which we have none; lag is our own metric."""


class _BulkRecovery(FaustRecovery):
    """Faust's recovery service, with the reading done by the sink."""

    logger = _faust_log

    def __init__(self, app: faust.App, tables: Any, *, sink: Sink, **kwargs: Any) -> None:
        super().__init__(app, tables, **kwargs)
        self._sink = sink

    async def _seek_offsets(self, consumer: Any, tps: set[TP], offsets: Any, title: str) -> None:
        await self._sink.recover(frozenset(tp.partition for tp in tps))

    def need_recovery(self) -> bool:
        """Never: it is done when this is asked."""
        return False

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109 - Faust's
        # Faust goes on after the time-out as if the state were whole; a large one takes longer.
        await super()._wait(coro)
