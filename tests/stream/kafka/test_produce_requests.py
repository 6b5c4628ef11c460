"""A produce request leaves with the bytes that aiokafka itself would send, copied once."""

import asyncio
import struct
from typing import Any

import pytest
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import IncompatibleBrokerVersion, KafkaConnectionError
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.produce import ProduceRequest
from hypothesis import given
from hypothesis import strategies as st

from stream.kafka import client_internals
from tests.stream.fakes import settle
from tests.stream.world import on_a_loop

PRODUCE = 0  # its API key
NEWEST = 7  # the newest version that aiokafka can build
NONE, GZIP = 0, 1


class Writer:
    """Keeps what is written, as a socket would get it; or breaks."""

    def __init__(self, error: OSError | None = None) -> None:
        self.written: list[bytes | memoryview] = []
        self._error = error

    def write(self, data: bytes | memoryview) -> None:
        if self._error is not None:
            raise self._error
        self.written.append(data)

    async def drain(self) -> None:
        """As an asyncio.StreamWriter."""


def connect(version: int = NEWEST, writer: Writer | None = None) -> Any:
    connection = AIOKafkaConnection("broker", 9092, client_id="lately", request_timeout_ms=1000)
    connection._versions = {PRODUCE: (0, version)}
    connection._writer = writer or Writer()
    return connection


def request(topics: list[tuple[str, list[tuple[int, Any]]]], acks: int = -1) -> ProduceRequest:
    return ProduceRequest(None, acks, 30_000, topics)


def a_batch(values: list[bytes | None], compression: int, idempotent: bool) -> Any:
    batch = BatchBuilder(1 << 20, compression)
    for value in values:
        batch.append(timestamp=1_764_547_200_000, key=b"shopper", value=value, headers=[("h", b"")])
    batch.close()
    if idempotent:
        batch._set_producer_state(7, 1, 0)
    return batch._build()


batches = st.builds(
    a_batch,
    st.lists(st.none() | st.binary(max_size=300), min_size=1, max_size=5),
    st.sampled_from([NONE, GZIP]),
    st.booleans(),
)
topics = st.lists(
    st.tuples(st.text(max_size=20), st.lists(st.tuples(st.integers(0, 2**31 - 1), batches))),
    max_size=3,
)


async def sent(send: Any, connection: Any, made: ProduceRequest) -> bytes:
    """The bytes that this way of sending writes."""
    waiting = asyncio.ensure_future(send(connection, made))
    await settle()
    waiting.cancel()
    return b"".join(connection._writer.written)


@given(topics, st.sampled_from([-1, 1]), st.integers(0, NEWEST), st.booleans())
def test_the_bytes_are_those_of_aiokafka(
    named: list[tuple[str, list[tuple[int, Any]]]], acks: int, version: int, transactional: bool
) -> None:
    name = "transaction" if transactional and version >= 3 else None
    made = ProduceRequest(name, acks, 30_000, named)

    async def both() -> tuple[bytes, bytes]:
        return (
            await sent(client_internals._send, connect(version), made),
            await sent(client_internals._send_any, connect(version), made),
        )

    ours, theirs = asyncio.run(both())
    assert ours == theirs


@on_a_loop
async def test_a_request_is_written_at_once_as_a_view() -> None:
    connection = connect()
    await sent(client_internals._send, connection, request([("scores", [(0, b"records")])]))

    (written,) = connection._writer.written
    assert isinstance(written, memoryview)  # what is left of a view is cut off without a copy


@on_a_loop
async def test_the_answer_is_that_of_the_request() -> None:
    connection = connect()
    answered = asyncio.ensure_future(client_internals._send(connection, request([])))
    await settle()
    (number, prepared, waiting) = connection._requests.pop()

    assert prepared.API_VERSION == NEWEST
    assert number == 1
    waiting.set_result("response")
    assert await answered == "response"


@on_a_loop
async def test_an_answer_that_does_not_come_is_a_timeout() -> None:
    connection = connect()
    connection._request_timeout = 0.0

    with pytest.raises(TimeoutError):
        await client_internals._send(connection, request([]))


@on_a_loop
async def test_a_socket_that_breaks_closes_the_connection() -> None:
    reasons: list[CloseReason] = []
    connection = connect(writer=Writer(ConnectionResetError("gone")))
    connection.close = reasons.append

    with pytest.raises(KafkaConnectionError, match="broker:9092 broken: gone"):
        await client_internals._send(connection, request([]))
    assert reasons == [CloseReason.CONNECTION_BROKEN]


@on_a_loop
async def test_a_connection_that_is_closed_refuses() -> None:
    connection = connect()
    connection._writer = None

    with pytest.raises(KafkaConnectionError, match="No connection"):
        await client_internals._send(connection, request([]))


@on_a_loop
async def test_a_broker_that_is_too_old_refuses_as_before() -> None:
    with pytest.raises(IncompatibleBrokerVersion):
        await client_internals._send(connect(2), ProduceRequest("transaction", -1, 30_000, []))


@on_a_loop
async def test_a_request_without_an_answer_waits_for_the_socket_alone() -> None:
    connection = connect()

    await client_internals._send(connection, request([], acks=0), expect_response=False)

    assert not connection._requests
    (written,) = connection._writer.written
    assert struct.unpack(">i", written[:4])[0] == len(written) - 4


@on_a_loop
async def test_other_requests_are_sent_by_aiokafka() -> None:
    connection = connect()

    await sent(client_internals._send, connection, ApiVersionRequest())

    assert isinstance(connection._writer.written[0], bytes)


def test_a_producer_that_starts_copies_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AIOKafkaConnection, "send", client_internals._send_any)

    client_internals.copy_produced_once()

    assert AIOKafkaConnection.send is client_internals._send
