"""Commands see keys that lie where Kafka's default partitioner does not put them, and say so."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import TopicAuthorizationFailedError

from stream.kafka.command_clients import TopicReader
from stream.kafka.placement import check_recent_keys
from tests.oracle.hashing import partition_of
from tests.stream.commands.shop import PARTITIONS, Record, Shop

USERS = [f"u{n}".encode() for n in range(40)]


def by_murmur2(key: bytes) -> Record:
    return Record(key, b"{}", partition_of(key, PARTITIONS))


def by_crc32(key: bytes) -> Record:
    """Where librdkafka puts a key unless told otherwise."""
    return Record(key, b"{}", zlib.crc32(key) % PARTITIONS)


MISPLACED = sum(by_crc32(key).partition != by_murmur2(key).partition for key in USERS)


def test_a_topic_whose_keys_murmur2_placed_passes(shop: Shop) -> None:
    shop.create()
    shop.write(shop.settings.events_topic, *map(by_murmur2, USERS))

    found = asyncio.run(check_recent_keys(shop.settings))

    assert (found.status, found.fix) == ("PASS", "")
    assert "the last 40 " in found.found


def test_a_topic_with_keys_of_another_partitioner_is_warned_of_by_topics_and_doctor(
    shop: Shop,
) -> None:
    shop.create()
    shop.write(shop.settings.events_topic, *map(by_crc32, USERS))

    topics, doctor = shop.lately("topics"), shop.lately("doctor")

    assert topics.code == 0
    for out in (topics.out, doctor.out):
        (line,) = [line for line in out.splitlines() if "of the last 40 placed by another" in line]
        assert line.startswith("WARN") and f"{MISPLACED} of the last 40" in line
        assert "partitioner=murmur2_random" in out


@pytest.mark.parametrize("records", [[], [Record(None, b"{}")]])
def test_a_topic_without_keys_is_not_judged(shop: Shop, records: list[Record]) -> None:
    shop.create()
    shop.write(shop.settings.events_topic, *records)

    assert asyncio.run(check_recent_keys(shop.settings)).status == "SKIP"


def test_a_topic_that_cannot_be_read_is_not_judged(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert asyncio.run(check_recent_keys(shop.settings)).status == "SKIP"  # there is none
    shop.create()

    async def deny(*_: object) -> AsyncIterator[tuple[int, list[Any]]]:
        raise TopicAuthorizationFailedError(shop.settings.events_topic)
        yield 0, []

    monkeypatch.setattr(TopicReader, "read_newest", deny)

    found = asyncio.run(check_recent_keys(shop.settings))

    assert found.status == "SKIP" and "cannot be read" in found.found


def test_replay_beside_another_partitioner_says_that_histories_split(
    shop: Shop, tmp_path: Path
) -> None:
    shop.create()
    log = tmp_path / "log.jsonl"
    log.write_text('{"user_id": "u1", "item_id": "i1", "action": "click", "ts": 1790000000000}')
    assert "histories" not in shop.lately("replay", str(log), "--speed", "max").err

    shop.write(shop.settings.events_topic, *map(by_crc32, USERS))
    result = shop.lately("replay", str(log), "--speed", "max")

    assert result.code == 0
    assert f"{MISPLACED} of the last 41 placed by another partitioner" in result.err
    assert "has two histories" in result.err
