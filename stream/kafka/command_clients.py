"""The Kafka clients of commands: opened for one command, their errors one line for the user."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from stream.kafka.client_internals import client_of
from stream.kafka.connection_errors import IS_IT_RUNNING, broker_errors, missing_topic
from stream.kafka.fetching.lenient_headers import LenientConsumer
from stream.kafka.security import client_options
from stream.settings import KafkaSettings

TIMEOUT_S = 60.0  # for the acknowledgement of a record, or the next records of a topic
STOP_TIMEOUT_S = 5.0
CHECK_S = 5.0
QUIET_S = 5.0  # without a record, when a sample is enough
# The embedded broker answers a waiting fetch only after half of this, whatever arrives meanwhile.
_FETCH_WAIT_MS = 20
_AT_ONCE = 20_000  # records of a long topic


@asynccontextmanager
async def open_producer(
    settings: KafkaSettings, batch_bytes: int = 256 * 1024
) -> AsyncIterator[AIOKafkaProducer]:
    """A producer, once the events topic is known to exist.

    No batch is larger than ``batch_bytes``, unless one record alone is.

    Raises TopicsError if it does not, and BrokerError for an error of Kafka's in this block.
    """

    def describe(error: Exception, advice: str) -> str:
        why = str(error) or f"no acknowledgement in {TIMEOUT_S:g} s"
        return (
            f"no Kafka that takes events at {settings.bootstrap} ({why}); "
            f"{advice or IS_IT_RUNNING}, and try again"
        )

    async with broker_errors(settings, describe):
        producer = AIOKafkaProducer(
            **client_options(settings),
            acks="all",
            enable_idempotence=settings.idempotence,
            linger_ms=5,
            max_batch_size=batch_bytes,
            max_request_size=16 << 20,
        )
        try:
            await producer.start()
            # Ask for all topics: asking for one by name may create it.
            cluster = await producer.client.fetch_all_metadata()
            if settings.events_topic not in cluster.topics():
                raise missing_topic(settings, settings.events_topic, "--events-topic")
            yield producer
        finally:
            # It would wait forever for a broker that is gone.
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_TIMEOUT_S):
                    await producer.stop()


class TopicReader:
    """Reads one topic without a consumer group, so it leaves no trace at the broker."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._all = partitions

    @property
    def partitions(self) -> list[int]:
        """The partitions of the topic."""
        return [tp.partition for tp in self._all]

    async def seek_to_beginning(self) -> None:
        """Let ``poll`` return every record of the topic, from its first one."""
        self._consumer.assign(self._all)
        await self._consumer.seek_to_beginning(*self._all)

    async def seek_to_end(self) -> None:
        """Let ``poll`` return only records written from now on."""
        self._consumer.assign(self._all)
        await self._consumer.seek_to_end(*self._all)

    def seek(self, offsets: Mapping[int, int]) -> None:
        """Let ``poll`` return what comes at these offsets; of other partitions all there is."""
        self._consumer.assign(self._all)
        for tp in self._all:
            if tp.partition in offsets:
                self._consumer.seek(tp, offsets[tp.partition])

    async def positions(self) -> dict[int, int]:
        """The offset of the next record of each partition."""
        return {tp.partition: await self._consumer.position(tp) for tp in self._all}

    async def check(self) -> None:
        """Raise KafkaConnectionError if no broker answers in ``CHECK_S``."""
        try:
            async with asyncio.timeout(CHECK_S):
                answered = await client_of(self._consumer).force_metadata_update()
        except TimeoutError:
            answered = False
        if not answered:
            raise KafkaConnectionError("no broker answers")

    async def poll(self, timeout_s: float) -> list[Any]:
        """The next records; waits at most ``timeout_s`` for the first of them."""
        fetched = await self._consumer.getmany(timeout_ms=int(timeout_s * 1000))
        return [record for records in fetched.values() for record in records]

    async def read_to_end(self, *numbers: int) -> AsyncIterator[list[Any]]:
        """Every record of these partitions, by default all, up to their current ends.

        A list may be empty; each partition comes in offset order. Raises TimeoutError after
        ``TIMEOUT_S`` without progress.
        """
        unread = {tp for tp in self._all if not numbers or tp.partition in numbers}
        self._consumer.assign(unread)
        await self._consumer.seek_to_beginning(*unread)
        ends: dict[TopicPartition, int] = {}
        progress_s = time.monotonic()
        while unread:
            fetched = await self._consumer.getmany(*unread, timeout_ms=200)
            for tp in unread - ends.keys():
                # Only the end that comes with fetched records is right on every broker. The first
                # one is kept: later ones count records written since.
                end = self._consumer.highwater(tp)
                if end is not None:
                    ends[tp] = end
            yield [r for tp, rs in fetched.items() for r in rs if r.offset < ends[tp]]
            unread = {
                tp
                for tp in unread
                if tp not in ends or await self._consumer.position(tp) < ends[tp]
            }
            if fetched:
                progress_s = time.monotonic()
            elif time.monotonic() - progress_s > TIMEOUT_S:
                raise TimeoutError(f"nothing came for {TIMEOUT_S:g} s")

    async def read_newest(self, count: int) -> AsyncIterator[tuple[int, list[Any]]]:
        """About this many of the newest records, spread over the partitions, each with its number.

        Ends early when nothing comes for ``QUIET_S``.
        """
        self._consumer.assign(self._all)
        ends = await self._consumer.end_offsets(self._all)
        starts = await self._consumer.beginning_offsets(self._all)
        share = -(-count // len(self._all))
        for tp in self._all:
            self._consumer.seek(tp, max(starts[tp], ends[tp] - share))
        unread = {tp for tp in self._all if starts[tp] < ends[tp]}
        progress_s = time.monotonic()
        while unread and time.monotonic() - progress_s < QUIET_S:
            fetched = await self._consumer.getmany(*unread, timeout_ms=200)
            for tp, records in fetched.items():
                progress_s = time.monotonic()
                yield tp.partition, [r for r in records if r.offset < ends[tp]]
            unread = {tp for tp in unread if await self._consumer.position(tp) < ends[tp]}

    async def ranges_since(self, since_ms: int) -> dict[int, range]:
        """The offsets of each partition from the first record of this time, or later, to the end.

        All of them if none is as new, for then the records may have no time.
        """
        starts = await self._consumer.beginning_offsets(self._all)
        found = await self._consumer.offsets_for_times(dict.fromkeys(self._all, since_ms))
        starts |= {tp: at.offset for tp, at in found.items() if at is not None}
        ends = await self._consumer.end_offsets(self._all)
        return {tp.partition: range(starts[tp], max(starts[tp], ends[tp])) for tp in self._all}

    async def read_ranges(
        self, ranges: Mapping[int, range]
    ) -> AsyncIterator[tuple[int, list[Any], int]]:
        """The records of these offsets: a partition, its next records, and how far they reach.

        Each partition comes in the order of its offsets. Raises TimeoutError after ``TIMEOUT_S``
        without progress.
        """
        ends = {TopicPartition(self._all[0].topic, n): r.stop for n, r in ranges.items() if r}
        self._consumer.assign([*ends])
        for tp in ends:
            self._consumer.seek(tp, ranges[tp.partition].start)
        positions = {tp: ranges[tp.partition].start for tp in ends}
        progress_s = time.monotonic()
        while positions:
            fetched = await self._consumer.getmany(*positions, timeout_ms=200, max_records=_AT_ONCE)
            for tp, before in tuple(positions.items()):
                # Beyond the last record, too: what is aborted, or no record, has offsets as well.
                position = min(await self._consumer.position(tp), ends[tp])
                if position > before:
                    progress_s = time.monotonic()
                    records = [r for r in fetched.get(tp, ()) if r.offset < ends[tp]]
                    yield tp.partition, records, position
                    positions[tp] = position
                if position == ends[tp]:
                    del positions[tp]
            if time.monotonic() - progress_s > TIMEOUT_S:
                raise TimeoutError(f"nothing came for {TIMEOUT_S:g} s")

    def end(self, number: int) -> int:
        """The end offset of a partition, as of the last read of it."""
        return int(self._consumer.highwater(TopicPartition(self._all[0].topic, number)) or 0)

    async def record_at(self, number: int, offset: int) -> Any | None:
        """The record at this offset of a partition; None if there is none."""
        tp = TopicPartition(self._all[0].topic, number)
        if tp not in self._all:
            return None
        self._consumer.assign([tp])
        if offset < (await self._consumer.beginning_offsets([tp]))[tp]:
            return None
        self._consumer.seek(tp, offset)
        started_s = time.monotonic()
        while time.monotonic() - started_s < TIMEOUT_S:
            for record in await self.poll(0.2):
                return record if record.offset == offset else None
            end = self._consumer.highwater(tp)
            # A transaction's marker has an offset, but is no record: the reader moves past it.
            if end is not None and (offset >= end or await self._consumer.position(tp) > offset):
                return None
        raise TimeoutError(f"nothing came for {TIMEOUT_S:g} s")


@asynccontextmanager
async def open_reader(
    settings: KafkaSettings, topic: str, flag: str, *, committed: bool = False
) -> AsyncIterator[TopicReader]:
    """A reader of one topic, which the option ``flag`` names.

    If ``committed``, it returns no record of a transaction that was aborted or goes on.

    Raises TopicsError if it does not exist, and BrokerError for an error of Kafka's in this block.
    """

    def describe(error: Exception, advice: str) -> str:
        if isinstance(error, KafkaConnectionError):
            # The text of this error is of no use to the user.
            return f"no Kafka to talk to at {settings.bootstrap}; {advice or IS_IT_RUNNING}"
        return (
            f"{settings.bootstrap}: cannot read {topic} ({error!r}); {advice or IS_IT_RUNNING}, "
            "and try again"
        )

    async with broker_errors(settings, describe):
        consumer = LenientConsumer(
            **client_options(settings),
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            max_partition_fetch_bytes=4 << 20,
            isolation_level="read_committed" if committed else "read_uncommitted",
        )
        try:
            await consumer.start()
            # Ask for all topics: asking for one by name may create it.
            if topic not in await consumer.topics():
                raise missing_topic(settings, topic, flag)
            numbers = sorted(await partitions_of(consumer, topic))
            yield TopicReader(consumer, [TopicPartition(topic, number) for number in numbers])
        finally:
            await consumer.stop()


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> Iterable[int]:
    """The partitions of an existing topic; leaves the consumer assigned to its first one."""
    # The client only knows the partitions of topics that it reads.
    first = TopicPartition(topic, 0)
    consumer.assign([first])
    await consumer.beginning_offsets([first])
    return consumer.partitions_for_topic(topic) or ()
