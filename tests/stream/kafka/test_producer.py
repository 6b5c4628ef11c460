"""Records leave in whole batches, and are waited for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    UnknownTopicOrPartitionError,
)
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import RecordMetadata, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.errors import DeliveryError
from stream.events import DeadLetter
from stream.kafka.dead_letters import dead_letter_record
from stream.kafka.producer import (
    NO_HEADERS,
    Delivery,
    Publisher,
    Record,
    await_acks,
)
from tests.stream.fakes import FakeMessage


class UnsentProducer(AIOKafkaProducer):  # type: ignore[misc]  # the client has no types
    """Builds batches as the client does, and keeps them."""

    def __init__(self, max_batch_size: int) -> None:
        super().__init__(max_batch_size=max_batch_size)
        self.batches: list[Any] = []
        self.error: KafkaError | None = None

    async def send_batch(self, batch: Any, *_: str, **__: int) -> Any:
        if self.error is not None:
            raise self.error
        assert batch.closed()
        self.batches.append(batch)
        return answer(len(self.batches) * 100)


def answer(offset: int) -> "asyncio.Future[RecordMetadata]":
    future: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
    tp = TopicPartition("t", 0)
    future.set_result(RecordMetadata("t", 0, tp, offset, None, 0, 0))
    return future


@asynccontextmanager
async def unsent(max_batch_size: int = 1_000_000) -> AsyncIterator[UnsentProducer]:
    producer = UnsentProducer(max_batch_size)
    try:
        yield producer
    finally:
        producer._closed = True  # it was never started, so there is nothing to stop


def read(batch: Any) -> list[Record]:
    records = MemoryRecords(bytes(batch._build()))
    found: list[Record] = []
    while (chunk := records.next_batch()) is not None:
        found += [(record.key, record.value, list(record.headers)) for record in chunk]
    return found


async def sent(records: list[Record], max_batch_size: int) -> tuple[list[list[Record]], list[int]]:
    async with unsent(max_batch_size) as producer:
        deliveries = await Publisher(producer).send("t", 0, records)
        return [read(batch) for batch in producer.batches], [d.records for d in deliveries]


def test_records_that_fit_go_in_one_batch() -> None:
    records: list[Record] = [(b"k%d" % n, b"v", NO_HEADERS) for n in range(10)]

    assert asyncio.run(sent(records, 1_000_000)) == ([records], [10])


def test_no_records_are_no_batch() -> None:
    assert asyncio.run(sent([], 1000)) == ([], [])


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.binary(max_size=9), st.none() | st.binary(max_size=300)), max_size=20))
def test_records_that_do_not_fit_one_batch_are_all_sent_once_in_order(
    pairs: list[tuple[bytes, bytes | None]],
) -> None:
    records: list[Record] = [(key, value, [("h", b"1")]) for key, value in pairs]

    batches, counts = asyncio.run(sent(records, 500))

    assert [record for batch in batches for record in batch] == records
    assert counts == [len(batch) for batch in batches]
    assert 0 not in counts


def test_a_record_larger_than_a_batch_has_one_of_its_own() -> None:
    large: Record = (b"k", b"x" * 5000, NO_HEADERS)
    small: Record = (b"k", b"x", NO_HEADERS)

    assert asyncio.run(sent([small, large, small], 1000)) == (
        [[small], [large], [small]],
        [1, 1, 1],
    )


def test_a_dead_letter_of_nothing_with_an_empty_header_can_be_sent() -> None:
    message = FakeMessage(None, None, headers=[("trace", None)])  # as Kafka may
    record = dead_letter_record("t", 0, DeadLetter(message, "not_json", "Invalid", "null"))

    batches, _ = asyncio.run(sent([record], 1000))

    assert batches == [[record]]


# --- acknowledged --------------------------------------------------------------------------------


def test_the_offset_of_the_last_record_comes_back() -> None:
    async def main() -> int:
        deliveries = [Delivery(10, answer(100)), Delivery(5, answer(110))]
        return await await_acks("t", deliveries)

    assert asyncio.run(main()) == 110 + 5 - 1


def test_nothing_sent_has_no_offset() -> None:
    assert asyncio.run(await_acks("t", [])) == -1


@pytest.mark.parametrize("error", [KafkaTimeoutError(), MessageSizeTooLargeError("too big")])
def test_a_record_the_broker_refuses_is_an_error_in_one_line(error: KafkaError) -> None:
    async def main() -> None:
        refused: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        refused.set_exception(error)
        await await_acks("scores", [Delivery(1, answer(0)), Delivery(1, refused)])

    with pytest.raises(DeliveryError, match=rf"^scores: .*{type(error).__name__}.*start.*$"):
        asyncio.run(main())


def test_a_producer_that_takes_no_more_is_the_same_error() -> None:
    async def main() -> None:
        async with unsent() as producer:
            producer.error = KafkaTimeoutError()
            await Publisher(producer).send("scores", 0, [(b"k", b"v", NO_HEADERS)])

    with pytest.raises(DeliveryError, match=r"scores: .*KafkaTimeoutError"):
        asyncio.run(main())


@pytest.mark.parametrize("error", [UnknownTopicOrPartitionError(), KafkaTimeoutError()])
def test_a_broker_that_never_answered_before_a_batch_was_taken_is_late_like_any_other(
    error: KafkaError,
) -> None:
    # What aiokafka raises once it has waited for the partitions of a topic, or for a full buffer.
    async def main() -> None:
        async with unsent() as producer:
            producer.error = error
            publisher = Publisher(producer, timeout_s=0.0)
            await publisher.send("scores", 0, [(b"k", b"v", NO_HEADERS)])

    with pytest.raises(DeliveryError, match=r"^scores: .*within --delivery-timeout-s; .*start"):
        asyncio.run(main())


@pytest.mark.parametrize("late", [0, 1])
def test_an_acknowledgement_that_does_not_come_in_time_is_an_error(late: int) -> None:
    # An idempotent producer of aiokafka never gives up a batch by itself.
    async def main() -> None:
        now_s = asyncio.get_running_loop().time()
        pending: asyncio.Future[RecordMetadata] = asyncio.get_running_loop().create_future()
        deliveries = [Delivery(1, answer(0), now_s + 60), Delivery(1, pending, now_s)]
        await await_acks("scores", deliveries[late:] + deliveries[:late])

    with pytest.raises(DeliveryError, match=r"^scores: .*within --delivery-timeout-s; .*start"):
        asyncio.run(main())


def test_every_batch_of_a_send_has_the_same_deadline() -> None:
    async def main() -> set[float]:
        async with unsent(max_batch_size=100) as producer:
            records: list[Record] = [(b"k", b"x" * 90, NO_HEADERS)] * 3
            before_s = asyncio.get_running_loop().time()
            deliveries = await Publisher(producer, timeout_s=60.0).send("t", 0, records)
            return {round(delivery.deadline_s - before_s) for delivery in deliveries}

    assert asyncio.run(main()) == {60}
