"""The chunked fetch: records and positions are as aiokafka has them, who reads the unusual."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from stream.kafka.fetching import chunked_fetch
from stream.kafka.fetching.chunked_fetch import read_in_chunks
from stream.kafka.fetching.fetched_records import FetchedRecords
from stream.kafka.producer import Record
from tests.native.batches import fetch_of

core = pytest.importorskip("lately_native", reason="needs the native core: make native")

EVENTS, OTHER = TopicPartition("events", 0), TopicPartition("changelog", 0)
RECORDS: list[Record] = [(b"u%d" % n, b"event %d" % n, [("h", b"%d" % n)]) for n in range(6)]
GZIP, CONTROL, TRANSACTIONAL = 1, 0x20, 0x10


class Assignment:
    """Partitions that are read, and how far."""

    active = True

    def __init__(self, position: int) -> None:
        self.state = SimpleNamespace(paused=False, position=position, consumed_to=self._move)

    def _move(self, position: int) -> None:
        self.state.position = position

    def state_value(self, tp: TopicPartition) -> Any:
        return self.state


@pytest.fixture(autouse=True)
def chunked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Consumers of this process hand over chunks, until the test ends."""
    for name in ("MemoryRecords", "PartitionRecords", "FetchResult"):
        monkeypatch.setattr(fetcher, name, getattr(fetcher, name))
    monkeypatch.setattr(chunked_fetch, "_topics", set())
    read_in_chunks(EVENTS.topic)


def fetched(
    data: bytes, position: int = 0, tp: TopicPartition = EVENTS, aborted: Any = ()
) -> tuple[Any, Assignment]:
    """What the consumer has fetched from this position on."""
    records = fetcher.PartitionRecords(
        tp, fetcher.MemoryRecords(data), list(aborted), position, None, None, True, 1
    )
    assignment = Assignment(position)
    result = fetcher.FetchResult(tp, assignment=assignment, partition_records=records, backoff=0.0)
    return result, assignment


def content(records: Any) -> list[tuple[Any, ...]]:
    return [(r.offset, r.timestamp, r.key, r.value, tuple(r.headers)) for r in records]


def by_aiokafka(data: bytes, position: int = 0) -> list[tuple[Any, ...]]:
    found = fetcher.PartitionRecords(EVENTS, MemoryRecords(data), [], position, None, None, True, 1)
    return content(found)


@pytest.mark.parametrize("position", [0, 4])
def test_a_plain_fetch_is_handed_over_whole(position: int) -> None:
    data = fetch_of(RECORDS, limit=150)
    result, assignment = fetched(data, position)

    records = result.getall()

    assert isinstance(records, FetchedRecords)
    assert content(records) == by_aiokafka(data, position)
    assert assignment.state.position == 6
    assert not result.has_more()


def test_a_part_of_the_records_is_as_of_a_list() -> None:
    records = fetched(fetch_of(RECORDS))[0].getall()
    listed = content(records)

    for part in (slice(0, 2), slice(3, 99), slice(5, 2), slice(-2, None), slice(None)):
        assert content(records[part]) == listed[part]
    assert content([records[2:][0], records[2:5][-1]]) == [listed[2], listed[4]]
    with pytest.raises(IndexError):
        records[6]


def test_another_topic_is_read_by_aiokafka() -> None:
    records = fetched(fetch_of(RECORDS), tp=OTHER)[0].getall()

    assert isinstance(records, list)
    assert content(records) == by_aiokafka(fetch_of(RECORDS))


def test_a_fetch_with_aborted_transactions_is_read_by_aiokafka() -> None:
    data = fetch_of(RECORDS, attributes=TRANSACTIONAL)

    assert isinstance(fetched(data)[0].getall(), FetchedRecords)
    assert isinstance(fetched(data, aborted=[(7, 0)])[0].getall(), list)


def test_a_compressed_fetch_is_read_by_aiokafka() -> None:
    from aiokafka.producer.message_accumulator import BatchBuilder

    batch = BatchBuilder(1 << 20, GZIP)
    for key, _, headers in RECORDS:
        batch.append(timestamp=5, key=key, value=b"x" * 100, headers=headers)
    data = bytes(batch._build())
    result, assignment = fetched(data)

    records = result.getall()

    assert isinstance(records, list)
    assert content(FetchedRecords.of(records)) == content(records) == by_aiokafka(data)
    assert assignment.state.position == 6


def test_a_broken_fetch_is_refused_as_ever() -> None:
    from aiokafka.errors import CorruptRecordException

    data = bytearray(fetch_of(RECORDS))
    data[-1] ^= 1

    with pytest.raises(CorruptRecordException):
        fetched(bytes(data))[0].getall()


def test_a_paused_partition_hands_over_nothing() -> None:
    result, assignment = fetched(fetch_of(RECORDS))
    assignment.state.paused = True

    assert result.getall() == []
    assert assignment.state.position == 0
