"""A reader of a topic accepts header names that are not UTF-8."""

import asyncio
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.errors import KafkaConnectionError

from stream.errors import BrokerError
from stream.kafka import command_clients
from stream.settings import KafkaSettings


class Unreachable:
    """A consumer whose broker is not there."""

    def __init__(self, **options: Any) -> None:
        self.records = fetcher.PartitionRecords

    async def start(self) -> None:
        assert self.records.__module__ == "stream.kafka.lenient_headers"
        raise KafkaConnectionError

    async def stop(self) -> None:
        pass


def test_a_reader_is_made_with_the_lenient_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = type("Strict", (), {})
    monkeypatch.setattr(fetcher, "PartitionRecords", strict)
    monkeypatch.setattr(fetcher, "MemoryRecords", strict)
    monkeypatch.setattr(command_clients, "AIOKafkaConsumer", Unreachable)
    settings = KafkaSettings.load(bootstrap="127.0.0.1:1")

    async def read() -> None:
        async with command_clients.open_reader(settings, "scores", "--scores-topic"):
            raise AssertionError("there is no broker")

    with pytest.raises(BrokerError):
        asyncio.run(read())
