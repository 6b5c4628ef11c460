"""What we need of aiokafka's clients that they keep private.

tests/stream/kafka/test_aiokafka_contract.py fails when aiokafka changes what is used here. Every
function that awaits must run on the client's own event loop.
"""

import asyncio
import struct
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal

from aiokafka import TopicPartition
from aiokafka.conn import AIOKafkaConnection, CloseReason
from aiokafka.errors import (
    InconsistentGroupProtocolError,
    KafkaConnectionError,
    UnknownMemberIdError,
)
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.protocol.types import Array, Bytes, Int32, Schema
from aiokafka.structs import OffsetAndMetadata
from aiokafka.util import wait_for

from stream.kafka.protocol import TopicDescription, describe_topic

MIN_RECONNECT_S = 0.1
MAX_RECONNECT_S = 1.0
Consumer = Any  # aiokafka has no types
Buffer = bytes | bytearray | memoryview
Refusal = Literal["unknown", "replaced", "protocol"]
_FENCED_INSTANCE_ID = 82  # aiokafka has no name for this error of Kafka's
_send_any = AIOKafkaConnection.send


def set_fetch_options(consumer: Consumer, max_wait_ms: int, isolation_level: str) -> None:
    """Change options of a consumer that somebody else constructs; call before it starts."""
    consumer._fetch_max_wait_ms = max_wait_ms
    consumer._isolation_level = isolation_level


def report_heartbeats(consumer: Consumer, answered: Callable[[float], None]) -> None:
    """Call ``answered`` for each heartbeat that the coordinator answers, with when it was sent.

    The time is in seconds of ``time.monotonic``. Call when the consumer has started.
    """
    coordinator = consumer._coordinator
    send_heartbeat = coordinator._do_heartbeat

    async def send_and_report() -> bool:
        sent_s = time.monotonic()
        success: bool = await send_heartbeat()
        if success:
            answered(sent_s)
        return success

    coordinator._do_heartbeat = send_and_report


def client_of(consumer: Consumer) -> Any:
    """The client through which a started consumer talks to the brokers."""
    return consumer._client


def space_reconnects(
    client: Any,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> None:
    """Let attempts to reach a broker that is gone wait ever longer, up to ``MAX_RECONNECT_S``.

    aiokafka's tasks try 50 times a second, for as long as an outage lasts.
    """
    connect = client._get_conn
    failures: dict[Any, tuple[int, float]] = {}  # how many in a row, and when to try again

    async def connect_when_due(node: Any, **options: Any) -> Any:
        count, due_s = failures.get(node, (0, 0.0))
        if (wait_s := due_s - clock()) > 0:
            await sleep(wait_s)
        connection = await connect(node, **options)
        if connection is not None:
            failures.pop(node, None)
        elif failures.get(node, (0, 0.0))[0] == count:  # else others failed at the same time
            wait_s = min(MAX_RECONNECT_S, MIN_RECONNECT_S * 2**count)
            failures[node] = (count + 1, clock() + wait_s)
        return connection

    client._get_conn = connect_when_due


def report_refusals(consumer: Consumer, refused: Callable[[Refusal], bool]) -> None:
    """Call ``refused`` when the coordinator does not have us in the group any more, or at all.

    It returns whether the process ends because of it. Then nothing more is sent to the group: to
    join again would take the place of whoever took ours.

    ``unknown``: at a heartbeat, because our session is over or somebody took our place.
    ``replaced``: another member has our instance id. ``protocol``: the members are of another kind.
    Call when the consumer has started.
    """
    coordinator = consumer._coordinator
    send = coordinator._send_req

    async def send_and_look(request: Any) -> Any:
        response = await send(request)
        refusal = _refusal(request, getattr(response, "error_code", 0))
        if refusal is not None and refused(refusal):
            await asyncio.Event().wait()
        return response

    coordinator._send_req = send_and_look


def _refusal(request: Any, code: int) -> Refusal | None:
    if code == _FENCED_INSTANCE_ID:
        return "replaced"
    if code == InconsistentGroupProtocolError.errno:
        return "protocol"
    if code == UnknownMemberIdError.errno and isinstance(request, HeartbeatRequest):
        return "unknown"
    return None


def consumed_offsets(consumer: Consumer) -> dict[TopicPartition, int]:
    """How far each assigned partition is read, transaction markers included."""
    subscription = consumer._subscription.subscription
    if subscription is None or subscription.assignment is None:
        return {}
    consumed = subscription.assignment.all_consumed_offsets()
    return {tp: found.offset for tp, found in consumed.items()}


async def request_rejoin(consumer: Consumer) -> None:
    """Make the group rebalance, as if the subscription had changed."""
    consumer._coordinator.request_rejoin()


async def fetch_commits(
    consumer: Consumer, partitions: Iterable[TopicPartition]
) -> Mapping[TopicPartition, OffsetAndMetadata]:
    """The group's commits, with metadata, asked of the coordinator; raises KafkaError.

    A partition without a commit has offset -1, or is missing.
    """
    commits: Mapping[TopicPartition, OffsetAndMetadata]
    commits = await consumer._coordinator.fetch_committed_offsets(list(partitions))
    return commits


async def describe(consumer: Consumer, topic: str) -> TopicDescription | None:
    """Describe a topic as the brokers have it now; None if there is none. Raises KafkaError."""
    return await describe_topic(consumer._client, topic)


def copy_produced_once() -> None:
    """Make every producer of this process copy its record batches once on their way out.

    aiokafka joins the bytes of a request anew at each level of its schema, and twice more for the
    header and the size: about nine copies of each batch, of megabytes where there is much to do.
    """
    AIOKafkaConnection.send = _send


def _send(connection: Any, request: Any, expect_response: bool = True) -> Any:
    """Send as ``AIOKafkaConnection.send`` does, the same bytes."""
    is_produce = isinstance(request, ProduceRequest) and expect_response
    if not is_produce or connection._writer is None:
        return _send_any(connection, request, expect_response)
    prepared = request.prepare(connection._versions)
    number = connection._next_correlation_id()
    header = prepared.build_request_header(correlation_id=number, client_id=connection._client_id)
    pieces: list[Buffer] = [b"", header.encode()]
    for name, kind in zip(prepared.SCHEMA.names, prepared.SCHEMA.fields, strict=True):
        _encode(kind, getattr(prepared, name), pieces)
    pieces[0] = struct.pack(">i", sum(map(len, pieces)))
    try:
        # A view: the transport cuts off what the socket took, which copies bytes.
        connection._writer.write(memoryview(b"".join(pieces)))
    except OSError as error:
        connection.close(CloseReason.CONNECTION_BROKEN)
        raise KafkaConnectionError(
            f"Connection at {connection.host}:{connection.port} broken: {error}"
        ) from error
    answered = asyncio.get_running_loop().create_future()
    connection._requests.append((number, prepared, answered))
    return wait_for(answered, connection._request_timeout)


def _encode(kind: Any, value: Any, pieces: list[Buffer]) -> None:
    """Append what ``kind.encode(value)`` returns, in pieces, and long bytes as they are."""
    if isinstance(kind, Schema):
        for field, part in zip(kind.fields, value, strict=True):
            _encode(field, part, pieces)
    elif type(kind) is Array and value is not None:
        pieces.append(Int32.encode(len(value)))
        for part in value:
            _encode(kind.array_of, part, pieces)
    elif kind is Bytes and value is not None:
        pieces += Int32.encode(len(value)), value
    else:
        pieces.append(kind.encode(value))
