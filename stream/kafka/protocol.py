"""Kafka requests that aiokafka's clients do not offer, made with its internal classes."""

import asyncio
import base64
import struct
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaError, SaslAuthenticationFailed, UnknownTopicOrPartitionError
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.metadata import MetadataRequest
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Int64,
    Schema,
    TaggedFields,
)

from stream.addresses import Address
from stream.kafka.security import client_options
from stream.settings import KafkaSettings

PROBE_TIMEOUT_S = 3.0


async def probe(settings: KafkaSettings, broker: Address) -> None:
    """Connect to one broker, authenticate and make one request.

    Raises KafkaError, or OSError where there is no connection or no TLS.
    """
    options = client_options(settings)
    del options["bootstrap_servers"]
    async with asyncio.timeout(PROBE_TIMEOUT_S):
        connection = await create_conn(*broker, **options)
        try:
            answer = await connection.send(MetadataRequest([]))
        finally:
            connection.close()
    if not answer.brokers:
        # aiokafka ignores the response to a token, so a rejected one only shows here.
        raise SaslAuthenticationFailed


async def api_versions(settings: KafkaSettings) -> dict[int, int]:
    """The highest version that a broker supports of each API, by API key. Raises KafkaError."""
    producer = AIOKafkaProducer(**client_options(settings), enable_idempotence=False)
    try:
        await producer.start()
        client = producer.client
        answer = await client.send(client.get_random_node(), ApiVersionRequest())
    finally:
        await producer.stop()
    return {api: highest for api, _, highest in answer.api_versions}


class TopicDescription(NamedTuple):
    """A topic as the brokers have it at this moment; ``id`` is None where they report none."""

    id: str | None
    partitions: list[int]


async def describe_topic(client: Any, topic: str) -> TopicDescription | None:
    """Describe a topic through an aiokafka client; None if there is none of this name.

    Raises KafkaError.
    """
    try:
        answer = await client.send(client.get_random_node(), _TopicIdsRequest(topic))
    except (NotImplementedError, ValueError):  # a broker older than Kafka 3, or with its own ways
        # Ask for all topics: asking for one by name may create it.
        cluster = await client.fetch_all_metadata()
        numbers = cluster.partitions_for_topic(topic)
        return TopicDescription(None, sorted(numbers)) if numbers else None
    for code, name, high, low, _, partitions, *_ in answer.topics:
        if name == topic and code != UnknownTopicOrPartitionError.errno:
            if code:
                raise KafkaError(f"the broker does not describe {topic} (error {code})")
            numbers = sorted(partition[1] for partition in partitions)
            return TopicDescription(_id_text(high, low), numbers)
    return None


def _id_text(high: int, low: int) -> str | None:
    """The id as Kafka's tools print it; None for one that is all zeros."""
    raw = struct.pack(">qq", high, low)
    return base64.urlsafe_b64encode(raw).decode().rstrip("=") if any(raw) else None


class _TopicIdsResponse(Response):  # type: ignore[misc]  # aiokafka has no types
    """Kafka's Metadata response of version 12, which has the ids of topics."""

    API_KEY = 3
    API_VERSION = 12
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(
                ("node_id", Int32),
                ("host", CompactString("utf-8")),
                ("port", Int32),
                ("rack", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", CompactString("utf-8")),
                ("id_high", Int64),
                ("id_low", Int64),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("number", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline_replicas", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _TopicIdsRequestV12(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 12
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _TopicIdsResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("id_high", Int64),
                ("id_low", Int64),
                ("name", CompactString("utf-8")),
                ("tags", TaggedFields),
            ),
        ),
        ("allow_auto_topic_creation", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _TopicIdsRequest(Request[_TopicIdsRequestV12]):  # type: ignore[misc]
    """Kafka's Metadata request, of one topic by its name, which is not created by it."""

    API_KEY = 3

    def __init__(self, topic: str) -> None:
        self._topic = topic

    def build(self, request_struct_class: type[_TopicIdsRequestV12]) -> _TopicIdsRequestV12:
        return request_struct_class([(0, 0, self._topic, {})], False, False, {})
