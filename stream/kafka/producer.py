"""The producer: sends records in bulk, and waits for the broker to acknowledge them."""

import asyncio
import math
from asyncio import Future, gather
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer, codec
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.structs import RecordMetadata

from stream.errors import BrokerError, DeliveryError
from stream.kafka.client_internals import copy_produced_once, space_reconnects
from stream.kafka.connection_errors import AUTHORIZATION_ERRORS, authorization_message
from stream.kafka.lease import Lease, gate_requests
from stream.kafka.security import client_options
from stream.settings import Compression, WorkerSettings

Headers = list[tuple[str, bytes | None]]
NO_HEADERS: Headers = []  # aiokafka requires a list, and does not modify it

# Key, value (None is a tombstone), headers. A bare tuple, since every score and state makes one.
Record = tuple[bytes | None, bytes | None, Headers]


class RecordBatch(Protocol):
    """Records that are encoded, to be sent as they are: aiokafka's BatchBuilder, closed."""

    def record_count(self) -> int:
        """How many records it has."""
        ...


# Kafka's number of each codec, and what encodes the records of a batch.
_CODECS: dict[Compression, tuple[int, Callable[[bytes], bytes]] | None] = {
    "none": None,
    "gzip": (1, codec.gzip_encode),
    "lz4": (3, codec.lz4_encode),
    "zstd": (4, codec.zstd_encode),
}


class Delivery(NamedTuple):
    """A batch of ``records`` records in flight to one partition.

    It is to be acknowledged before ``deadline_s``, a time of the event loop.
    """

    records: int
    acknowledged: "Future[RecordMetadata]"
    deadline_s: float = math.inf


async def start_producer(
    settings: WorkerSettings, lease: Lease, batch_bytes: int
) -> AIOKafkaProducer:
    """Start the worker's producer, whose requests wait while the lease is not held.

    No batch is larger than ``batch_bytes``, unless one record alone is.

    Raises BrokerError when no broker lets it start.
    """
    copy_produced_once()
    producer = AIOKafkaProducer(
        **client_options(settings),
        acks="all",
        enable_idempotence=settings.idempotence,
        compression_type=None if settings.compression == "none" else settings.compression,
        max_batch_size=batch_bytes,
        max_request_size=16 << 20,
        request_timeout_ms=int(settings.delivery_timeout_s * 1000),
    )
    try:
        await producer.start()
    except BaseException as error:
        await producer.stop()
        if not isinstance(error, KafkaError):
            raise
        raise BrokerError(
            f"{settings.bootstrap}: cannot start a producer ({error}); look at the broker"
        ) from error
    gate_requests(producer, lease.is_held)
    space_reconnects(producer.client)
    return producer


class Publisher:
    """Sends records in bulk, each partition in order, through one idempotent producer.

    The producer itself sends a batch again for ever, so ``timeout_s`` is the time to wait for it.
    ``batch_bytes`` and ``compression`` are those of the producer, for who builds batches natively.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        timeout_s: float = math.inf,
        batch_bytes: int = 16_384,
        compression: Compression = "none",
    ) -> None:
        self._producer = producer
        self._timeout_s = timeout_s
        self.batch_bytes = batch_bytes
        self._codec = _CODECS[compression]

    async def send(self, topic: str, partition: int, records: Iterable[Record]) -> list[Delivery]:
        """Hand the records to the producer; they are durable once ``acknowledged`` returns."""
        return await self.send_batches(topic, partition, self.build(records))

    def build(self, records: Iterable[Record]) -> list[RecordBatch]:
        """Put records into batches, in order."""
        create = self._producer.create_batch
        batches = []
        batch = create()
        for key, value, headers in records:
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                batches.append(batch)
                batch = create()
                batch.append(timestamp=None, key=key, value=value, headers=headers)
        if batch.record_count():
            batches.append(batch)
        for built in batches:
            built.close()
        return batches

    def compress(self, batches: list[Any]) -> list[RecordBatch]:
        """Compress batches of the native core, as aiokafka does its own, if that saves bytes."""
        if self._codec is not None:
            number, encode = self._codec
            for batch in batches:
                plain = batch.encoded()
                compressed = encode(plain)
                if len(compressed) < len(plain):
                    batch.compress(number, compressed)
        return batches

    async def send_batches(
        self, topic: str, partition: int, batches: Iterable[RecordBatch]
    ) -> list[Delivery]:
        """Hand batches to the producer, in order; see `send`."""
        deadline_s = asyncio.get_running_loop().time() + self._timeout_s
        return [await self._send_batch(b, topic, partition, deadline_s) for b in batches]

    async def _send_batch(
        self, batch: RecordBatch, topic: str, partition: int, deadline_s: float
    ) -> Delivery:
        try:
            future = await self._producer.send_batch(batch, topic, partition=partition)
        except KafkaError as error:
            if asyncio.get_running_loop().time() >= deadline_s:  # it waited that long for a broker
                raise _late(topic) from error
            raise _undelivered(topic, error) from error
        return Delivery(batch.record_count(), future, deadline_s)


async def await_acks(topic: str, deliveries: Sequence[Delivery]) -> int:
    """Wait for every record; returns the offset of the last one, or -1 if none was sent.

    Raises DeliveryError if the broker rejected one, or was too late for its deadline.
    """
    deadline_s = min((delivery.deadline_s for delivery in deliveries), default=math.inf)
    try:
        async with asyncio.timeout_at(None if math.isinf(deadline_s) else deadline_s):
            metadata = await gather(*(delivery.acknowledged for delivery in deliveries))
    except TimeoutError:
        raise _late(topic) from None
    except KafkaError as error:
        raise _undelivered(topic, error) from error
    if not metadata:
        return -1
    return int(metadata[-1].offset) + deliveries[-1].records - 1


def _late(topic: str) -> DeliveryError:
    return DeliveryError(
        f"{topic}: the broker has not acknowledged our records within --delivery-timeout-s; "
        "nothing after them is committed, look at the broker and the topic's replicas, and "
        "start the worker again"
    )


def _undelivered(topic: str, error: KafkaError) -> DeliveryError:
    if isinstance(error, AUTHORIZATION_ERRORS):
        message = authorization_message(error)
        return DeliveryError(f"{message}; nothing after our last records is committed")
    if isinstance(error, MessageSizeTooLargeError):
        return DeliveryError(
            f"{topic}: the broker takes no batch as large as ours ({error}); raise the topic's "
            "max.message.bytes, as `lately topics` says, and start the worker again"
        )
    return DeliveryError(
        f"{topic}: the broker rejected our records ({type(error).__name__}: {error}); nothing "
        "after them is committed, start the worker again once the broker is healthy"
    )
