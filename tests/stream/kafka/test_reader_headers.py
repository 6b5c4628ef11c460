"""Every consumer that we make accepts header names that are not UTF-8."""

import asyncio
import re
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaConnectionError

from stream.errors import BrokerError
from stream.kafka import command_clients
from stream.kafka.fetching.lenient_headers import LenientConsumer
from stream.settings import KafkaSettings

STREAM = Path(__file__).parents[3] / "stream"


@pytest.fixture
def _strict(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that has not yet made a consumer."""
    strict = type("Strict", (), {})
    monkeypatch.setattr(fetcher, "PartitionRecords", strict)
    monkeypatch.setattr(fetcher, "MemoryRecords", strict)


def is_lenient() -> bool:
    return str(fetcher.PartitionRecords.__module__) == "stream.kafka.fetching.lenient_headers"


@pytest.mark.usefixtures("_strict")
def test_a_consumer_is_made_with_the_lenient_parser() -> None:
    async def make() -> None:
        assert not is_lenient()
        consumer = LenientConsumer(bootstrap_servers="127.0.0.1:1")
        assert is_lenient()
        await consumer.stop()

    asyncio.run(make())


@pytest.mark.usefixtures("_strict")
def test_a_reader_is_made_with_the_lenient_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    async def unreachable(_: AIOKafkaConsumer) -> None:
        assert is_lenient()
        raise KafkaConnectionError

    monkeypatch.setattr(AIOKafkaConsumer, "start", unreachable)
    settings = KafkaSettings.load(bootstrap="127.0.0.1:1")

    async def read() -> None:
        async with command_clients.open_reader(settings, "scores", "--scores-topic"):
            raise AssertionError("there is no broker")

    with pytest.raises(BrokerError):
        asyncio.run(read())


def test_no_consumer_is_made_in_another_way() -> None:
    # Faust makes the worker's own, with the same parser: stream/group/faust_driver.py.
    made = re.compile(r"\bAIOKafkaConsumer\(")
    files = sorted(STREAM.rglob("*.py"))

    found = [path.name for path in files if made.search(path.read_text(encoding="utf-8"))]
    assert found == []
