"""Kafka requests that aiokafka's clients do not offer, made with its internal classes."""

import asyncio

from aiokafka import AIOKafkaProducer
from aiokafka.conn import create_conn
from aiokafka.errors import SaslAuthenticationFailed
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.metadata import MetadataRequest

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
