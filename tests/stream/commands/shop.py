"""Topics on the embedded broker, and a way to run commands against them."""

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from stream.cli.main import main
from stream.settings import KafkaSettings

PARTITIONS = 3


class Result(NamedTuple):
    """A command's exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its standard output, parsed as JSON."""
        return json.loads(self.out)


class Record(NamedTuple):
    """A record to write."""

    key: bytes | None
    value: bytes | None
    partition: int = 0
    timestamp_ms: int | None = None
    headers: Sequence[tuple[str, bytes | None]] = ()


class Shop:
    """Topics of one test; commands find them through the environment."""

    def __init__(
        self,
        bootstrap: str,
        name: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.settings = KafkaSettings(
            bootstrap=bootstrap,
            group=name,
            events_topic=f"{name}.events",
            scores_topic=f"{name}.scores",
            dead_topic=f"{name}.dead",
            receipts_topic=f"{name}.receipts",
            idempotence=False,  # the embedded broker does not support it
        )
        for field in self.settings.model_fields_set:
            monkeypatch.setenv(f"LATELY_{field.upper()}", str(getattr(self.settings, field)))

    def lately(self, *words: str) -> Result:
        """Run a command in this process with these arguments."""
        self._monkeypatch.setattr(sys, "argv", ["lately", *words])
        handler = signal.getsignal(signal.SIGTERM)
        self._capsys.readouterr()
        try:
            main()
        except SystemExit as end:
            code = end.code
        finally:
            signal.signal(signal.SIGTERM, handler)
        assert code is None or isinstance(code, int)
        return Result(code or 0, *self._capsys.readouterr())

    def create(self, *topics: str, partitions: int = PARTITIONS) -> None:
        """Create these topics, by default all five."""
        settings = self.settings
        all_topics = (
            *(settings.events_topic, settings.scores_topic, settings.dead_topic),
            *(settings.receipts_topic, settings.changelog_topic),
        )

        async def make() -> None:
            admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
            await admin.start()
            try:
                await admin.create_topics(
                    [NewTopic(topic, partitions, 1) for topic in topics or all_topics]
                )
            finally:
                await admin.close()

        asyncio.run(make())

    def write(self, topic: str, *records: Record) -> list[tuple[int, int]]:
        """Write records; returns the partition and offset of each."""
        return asyncio.run(write(self.settings.bootstrap, topic, records))

    def read(self, topic: str, count: int) -> list[Any]:
        """The first records of a topic, sorted by partition and offset."""
        return asyncio.run(read(self.settings.bootstrap, topic, count))


async def write(bootstrap: str, topic: str, records: Sequence[Record]) -> list[tuple[int, int]]:
    """Write records one by one; returns the partition and offset of each."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        places = []
        for key, value, partition, timestamp_ms, headers in records:
            batch = producer.create_batch()  # also accepts a record without key and value
            batch.append(key=key, value=value, timestamp=timestamp_ms, headers=list(headers))
            sent = await producer.send_batch(batch, topic, partition=partition)
            places.append((partition, (await sent).offset))
        return places
    finally:
        await producer.stop()


async def read(bootstrap: str, topic: str, count: int) -> list[Any]:
    """Read from the beginning until there are ``count`` records."""
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, fetch_max_wait_ms=20)
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(PARTITIONS)]
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        records: list[Any] = []
        while len(records) < count:
            fetched = await consumer.getmany(timeout_ms=10_000)
            assert fetched, f"{len(records)} of {count} records came"
            records += [record for batch in fetched.values() for record in batch]
        return sorted(records, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()
