"""The Kafka clients of commands: open for a moment, and what goes wrong with them is one line."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from stream.errors import BrokerError
from stream.kafka.connection_errors import DENIED, denial, missing, raise_refusal
from stream.kafka.lenient_headers import read_any_header
from stream.kafka.security import client_options
from stream.settings import KafkaSettings

PATIENCE_S = 60.0  # for the acknowledgement of a record, or the next records of a topic
STOP_S = 5.0
_IS_IT_RUNNING = "is it running? Set --bootstrap or LATELY_BOOTSTRAP"
_FETCH_WAIT_MS = 20  # the embedded broker answers a fetch that has to wait only after half of that


@asynccontextmanager
async def open_producer(settings: KafkaSettings) -> AsyncIterator[AIOKafkaProducer]:
    """A producer, where there is an events topic to send to.

    Raises TopicsError where there is none, and BrokerError for what Kafka or it raise meanwhile.
    """
    _silence_client()
    producer = AIOKafkaProducer(
        **client_options(settings),
        acks="all",
        enable_idempotence=settings.idempotence,
        linger_ms=5,
        max_batch_size=256 * 1024,
        max_request_size=16 << 20,
    )
    try:
        await producer.start()
        # Ask for all topics: asking for one by name may create it.
        cluster = await producer.client.fetch_all_metadata()
        if settings.events_topic not in cluster.topics():
            raise missing(settings, settings.events_topic, "--events-topic")
        yield producer
    except DENIED as error:
        raise BrokerError(f"{settings.bootstrap}: {denial(error)}") from error
    except (KafkaError, TimeoutError) as error:
        why = str(error) or f"no acknowledgement in {PATIENCE_S:g} s"
        advice = await raise_refusal(settings) or _IS_IT_RUNNING
        raise BrokerError(
            f"no Kafka that takes events at {settings.bootstrap} ({why}); {advice}, and try again"
        ) from error
    finally:
        # It would wait without end for a broker that is gone.
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                await producer.stop()


class TopicReader:
    """Reads a topic without a group, so that it leaves no trace at the broker."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._all = partitions

    @property
    def partitions(self) -> list[int]:
        """The partitions of the topic."""
        return [tp.partition for tp in self._all]

    async def seek_to_end(self) -> None:
        """Go past what is there now."""
        self._consumer.assign(self._all)
        await self._consumer.seek_to_end(*self._all)

    async def poll(self, timeout_s: float) -> list[Any]:
        """What has come since, waiting for it no longer than this."""
        fetched = await self._consumer.getmany(timeout_ms=int(timeout_s * 1000))
        return [record for records in fetched.values() for record in records]

    async def until_now(self, *numbers: int) -> AsyncIterator[list[Any]]:
        """Everything in these partitions, or in all, up to their ends as they are now.

        A list may be empty; each partition comes in offset order. Raises TimeoutError when nothing
        moves for ``PATIENCE_S``.
        """
        behind = {tp for tp in self._all if not numbers or tp.partition in numbers}
        self._consumer.assign(behind)
        await self._consumer.seek_to_beginning(*behind)
        ends: dict[TopicPartition, int] = {}
        moved_s = time.monotonic()
        while behind:
            fetched = await self._consumer.getmany(*behind, timeout_ms=200)
            for tp in behind - ends.keys():
                # The end that comes with records is the only one that every broker tells truly,
                # and the first one is that of now.
                end = self._consumer.highwater(tp)
                if end is not None:
                    ends[tp] = end
            yield [r for tp, rs in fetched.items() for r in rs if r.offset < ends[tp]]
            behind = {
                tp
                for tp in behind
                if tp not in ends or await self._consumer.position(tp) < ends[tp]
            }
            if fetched:
                moved_s = time.monotonic()
            elif time.monotonic() - moved_s > PATIENCE_S:
                raise TimeoutError(f"nothing came for {PATIENCE_S:g} s")

    def end(self, number: int) -> int:
        """The end of a partition, as of the last read of it."""
        return int(self._consumer.highwater(TopicPartition(self._all[0].topic, number)) or 0)

    async def at(self, number: int, offset: int) -> Any | None:
        """The record at this place, if it is there."""
        tp = TopicPartition(self._all[0].topic, number)
        if tp not in self._all:
            return None
        self._consumer.assign([tp])
        if offset < (await self._consumer.beginning_offsets([tp]))[tp]:
            return None
        self._consumer.seek(tp, offset)
        started_s = time.monotonic()
        while time.monotonic() - started_s < PATIENCE_S:
            for record in await self.poll(0.2):
                return record if record.offset == offset else None
            end = self._consumer.highwater(tp)
            if end is not None and offset >= end:
                return None
        raise TimeoutError(f"nothing came for {PATIENCE_S:g} s")


@asynccontextmanager
async def open_reader(settings: KafkaSettings, topic: str, flag: str) -> AsyncIterator[TopicReader]:
    """A reader of one topic, which the option ``flag`` names.

    Raises TopicsError where there is no such topic, BrokerError for what Kafka raises meanwhile.
    """
    _silence_client()
    read_any_header()
    consumer = AIOKafkaConsumer(
        **client_options(settings),
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        fetch_max_wait_ms=_FETCH_WAIT_MS,
        max_partition_fetch_bytes=4 << 20,
    )
    try:
        await consumer.start()
        if topic not in await consumer.topics():  # asks for all: asking for one may create it
            raise missing(settings, topic, flag)
        numbers = sorted(await partitions_of(consumer, topic))
        yield TopicReader(consumer, [TopicPartition(topic, number) for number in numbers])
    except DENIED as error:
        raise BrokerError(f"{settings.bootstrap}: {denial(error)}") from error
    except (KafkaError, TimeoutError) as error:
        advice = await raise_refusal(settings) or _IS_IT_RUNNING
        raise BrokerError(
            f"{settings.bootstrap}: cannot read {topic} ({error!r}); {advice}, and try again"
        ) from error
    finally:
        await consumer.stop()


async def partitions_of(consumer: AIOKafkaConsumer, topic: str) -> Iterable[int]:
    """The partitions of a topic that there is; the consumer reads its first one from now on."""
    # The client knows the partitions of what it reads, and of nothing else.
    first = TopicPartition(topic, 0)
    consumer.assign([first])
    await consumer.beginning_offsets([first])
    return consumer.partitions_for_topic(topic) or ()


def _silence_client() -> None:
    # It would say the same as our one line, over and over.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
