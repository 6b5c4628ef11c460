"""Subclasses of Faust's Kafka driver that hand over records in bulk and leave recovery to us."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import faust
import structlog
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError, KafkaError
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery as FaustRecovery
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from stream.events import Message
from stream.kafka.client_internals import (
    Refusal,
    client_of,
    consumed_offsets,
    report_heartbeats,
    report_refusals,
    set_fetch_options,
    space_reconnects,
)
from stream.kafka.fetching.lenient_headers import read_any_header

FETCH_WAIT_MS = 100
_log = structlog.get_logger(__name__)
_faust_log = logging.getLogger("faust")  # what Faust logs in our subclasses is still Faust's


class RebalanceListener(Protocol):
    """Receives partitions and their records, as Kafka's listener of this name does."""

    async def on_assigned(self, partitions: frozenset[int]) -> None:
        """Recover these partitions; their records flow when this returns."""
        ...

    async def on_records(self, partition: int, messages: Sequence[Message]) -> None:
        """Take records of one partition, each once per assignment; return when there is room."""
        ...

    async def on_revoked(self) -> None:
        """All partitions are being taken away: finish and commit what can be, then let them go."""
        ...


def bulk_transport(
    app: faust.App,
    consumed_topic: str,
    listener: RebalanceListener,
    heartbeat_answered_at: Callable[[float], None],
    refused_for: Callable[[Refusal], bool],
) -> driver.Transport:
    """Faust's transport, with a consumer that feeds the listener."""

    class BulkConsumer(_BulkConsumer):
        topic = consumed_topic
        feed = staticmethod(listener.on_records)
        heartbeat_answered = staticmethod(heartbeat_answered_at)
        refused = staticmethod(refused_for)

    class BulkTransport(driver.Transport):
        Consumer = BulkConsumer

    return BulkTransport(app.conf.broker_consumer, app)


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    """Faust's thread around aiokafka's consumer, with our fetch wait and our view of heartbeats."""

    logger = _faust_log

    async def on_start(self) -> None:
        """Start the consumer, and report its heartbeats and what the group refuses."""
        await super().on_start()
        bulk: Any = self.consumer
        consumer: Any = self._ensure_consumer()
        report_refusals(consumer, bulk.refused)
        report_heartbeats(consumer, bulk.heartbeat_answered)
        space_reconnects(client_of(consumer))

    def _create_worker_consumer(self, transport: Any) -> Any:
        read_any_header()
        consumer: Any = super()._create_worker_consumer(transport)
        # Faust fixes a wait of 1.5 s. Kafka answers as soon as there is a record, but some brokers
        # do not. And records of an aborted transaction were never events.
        set_fetch_options(consumer, FETCH_WAIT_MS, "read_committed")
        return consumer


class _BulkConsumer(driver.Consumer):
    """Hands over whole record lists, each record once per generation."""

    logger = _faust_log
    topic: str
    feed: Callable[[int, Sequence[Message]], Awaitable[None]]
    heartbeat_answered: Callable[[float], None]
    refused: Callable[[Refusal], bool]

    def __post_init__(self) -> None:
        # Counts assignments. Not Faust's generation: a static member that rejoins keeps that.
        self.epoch = 0
        self._recovered_epoch = 0
        self._next_offset: dict[int, int] = {}
        self._read_up_to: dict[TP, int] = {}
        self._records_end: dict[TP, int] = {}

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Discard what was fetched until now: it belongs to the previous assignment.

        This happens here and not on revocation, because records still flow for a moment after
        that, and those which the listener leaves unfinished must be fetched again.
        """
        self.epoch += 1
        self._next_offset.clear()
        self.heartbeat_answered(time.monotonic())
        await super().on_partitions_assigned(assigned, generation_id)

    def mark_recovered(self, epoch: int) -> None:
        """Let the records of this assignment flow: its partitions are recovered."""
        self._recovered_epoch = epoch

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            await self._fetch_forever(fetcher)
        except self.consumer_stopped_errors:
            if not self.app.should_stop:
                raise

    async def _fetch_forever(self, fetcher: Any) -> None:
        while not (self._stopped.is_set() or fetcher._stopped.is_set()):
            epoch = self.epoch
            records, _ = await self._wait_next_records(1.0)
            self._note_ends(records or {})
            await asyncio.sleep(0)
            if self.should_stop or not records:
                continue
            # A fetch that began before an assignment may return records of the new one, and Faust
            # may let records flow before their partition is recovered. The position is already past
            # them, so they must be read again.
            if not self._flows(epoch):
                await self._seek_back()
                continue
            for tp, messages in records.items():
                if tp.topic == self.topic and self._flows(epoch):
                    await self._hand_over(tp.partition, messages)

    def _flows(self, epoch: int) -> bool:
        return bool(self.flow_active) and epoch == self.epoch == self._recovered_epoch

    def _note_ends(self, records: Mapping[TP, Sequence[Message]]) -> None:
        """Note the read position and the last record's offset, before another fetch moves them.

        Both remain true of the log, whoever owns the partition.
        """
        for tp, messages in records.items():
            self._records_end[tp] = messages[-1].offset + 1
        thread: Any = self._thread
        self._read_up_to.update(consumed_offsets(thread._ensure_consumer()))

    def end_of(self, tp: TP) -> int | None:
        """Where the records end: the log may go on with transaction markers after them."""
        end: int | None = self.highwater(tp)
        read = end is not None and self._read_up_to.get(tp, -1) >= end
        return self._records_end.get(tp, 0) if read else end

    async def perform_seek(self) -> None:
        """Seek to the committed offsets, and to the beginning where nothing was ever committed.

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
            # must be sought now, or what was dropped is lost.
            if self.flow_active and not isinstance(error, IllegalStateError):
                raise
            _log.debug("no seek while partitions change hands", error=str(error))

    async def _hand_over(self, partition: int, messages: Sequence[Message]) -> None:
        """Feed the records that were not fed before.

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
        # A listener that waits for room must not hold up a rebalance.
        await self.wait_first(feeding, self.suspend_flow.wait())

    async def verify_all_partitions_active(self) -> None:
        """Disable Faust's check of acknowledged events: there are none; lag is our own metric."""


class PromptTableManager(TableManager):
    """Faust's tables, without the second in which it waits for agents to add some."""

    logger = _faust_log

    async def on_start(self) -> None:
        """Register the tables, so that the consumer subscribes, and start their recovery."""
        await self._update_channels()
        await self.recovery.start()


class BulkRecovery(FaustRecovery):
    """Faust's recovery service, in which the listener does the reading."""

    logger = _faust_log

    def __init__(
        self,
        app: faust.App,
        tables: Any,
        *,
        topic: str,
        listener: RebalanceListener,
        **kwargs: Any,
    ) -> None:
        super().__init__(app, tables, **kwargs)
        self._topic = topic
        self._listener = listener

    async def _seek_offsets(self, consumer: Any, tps: set[TP], offsets: Any, title: str) -> None:
        epoch = consumer.epoch
        # Faust shares out changelog partitions even while the consumed topic is missing.
        ours = {tp.partition for tp in consumer.assignment() if tp.topic == self._topic}
        await self._listener.on_assigned(frozenset(tp.partition for tp in tps) & ours)
        consumer.mark_recovered(epoch)

    def need_recovery(self) -> bool:
        """Never: recovery is complete when Faust asks."""
        return False

    async def _wait(self, coro: Any, timeout: Any = None) -> None:  # noqa: ASYNC109 - Faust's
        # Faust goes on after its timeout as if the state were recovered; a large one takes longer.
        await super()._wait(coro)
