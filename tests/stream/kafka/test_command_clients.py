"""Reading a topic to its end or at one offset, with gaps left by compaction and retention."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition

from stream.kafka.command_clients import TIMEOUT_S, TopicReader

TOPIC = "t"


class Found(NamedTuple):
    """The fields of a record that the reader uses."""

    partition: int
    offset: int


class Log(NamedTuple):
    """A partition: the offsets that it still has, its start and its end."""

    offsets: list[int]
    start: int = 0
    end: int = 0


class Consumer:
    """The part of aiokafka's consumer that the reader uses; a fetch has a record per partition.

    The end of a partition is known after the first fetch; ``late`` records are appended after
    that, one per fetch. Each empty fetch takes ten seconds of ``now_s``.
    """

    def __init__(self, logs: Mapping[int, Log], late: int = 0) -> None:
        self.logs, self._late = dict(logs), late
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self.now_s = 1_000.0
        self.silent = False

    def assign(self, partitions: Any) -> None:
        self._positions = dict.fromkeys(partitions, 0)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset

    async def seek_to_beginning(self, *partitions: TopicPartition) -> None:
        for tp in partitions:
            self.seek(tp, self.logs[tp.partition].start)

    async def beginning_offsets(self, partitions: list[TopicPartition]) -> dict[Any, int]:
        return {tp: self.logs[tp.partition].start for tp in partitions}

    async def end_offsets(self, partitions: list[TopicPartition]) -> dict[Any, int]:
        return {tp: self.logs[tp.partition].end for tp in partitions}

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]

    def highwater(self, tp: TopicPartition) -> int | None:
        return self._ends.get(tp)

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int) -> dict[Any, Any]:
        fetched: dict[TopicPartition, list[Found]] = {}
        if self.silent:
            self.now_s += 10
            return fetched
        for tp in partitions or tuple(self._positions):
            log = self.logs[tp.partition]
            self._ends[tp] = log.end
            left = [offset for offset in log.offsets if offset >= self._positions[tp]]
            self._positions[tp] = left[0] + 1 if left else log.end
            if left:
                fetched[tp] = [Found(tp.partition, left[0])]
            if self._late:
                self.logs[tp.partition] = Log([*log.offsets, log.end], log.start, log.end + 1)
        self._late = max(0, self._late - 1)
        if not fetched:
            self.now_s += 10
        return fetched


def reader(consumer: Consumer) -> TopicReader:
    return TopicReader(consumer, [TopicPartition(TOPIC, number) for number in consumer.logs])


def read_all(consumer: Consumer, *numbers: int) -> list[tuple[int, int]]:
    async def read() -> list[tuple[int, int]]:
        batches = reader(consumer).read_to_end(*numbers)
        return [(r.partition, r.offset) async for records in batches for r in records]

    return sorted(asyncio.run(read()))


def record_at(consumer: Consumer, number: int, offset: int) -> Any:
    return asyncio.run(reader(consumer).record_at(number, offset))


def newest(consumer: Consumer, count: int, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    monkeypatch.setattr(time, "monotonic", lambda: consumer.now_s)

    async def read() -> list[tuple[int, int]]:
        batches = reader(consumer).read_newest(count)
        return [(number, r.offset) async for number, records in batches for r in records]

    return sorted(asyncio.run(read()))


def test_newest_records_are_spread_over_the_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    logs = {0: Log([0, 1, 2, 3], end=4), 1: Log([7], start=5, end=8), 2: Log([], end=0)}

    # Four over three partitions are two of each, rounded up; partition 1 has one left of two.
    assert newest(Consumer(logs), 4, monkeypatch) == [(0, 2), (0, 3), (1, 7)]


def test_newest_records_end_when_nothing_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = Consumer({0: Log([0], end=1)})
    consumer.silent = True

    assert newest(consumer, 4, monkeypatch) == []


def test_read_to_end_returns_all_records_of_the_given_partitions_only() -> None:
    logs = {0: Log([0, 1, 2], end=3), 1: Log([7], start=5, end=8), 2: Log([], end=0)}

    assert read_all(Consumer(logs)) == [(0, 0), (0, 1), (0, 2), (1, 7)]
    assert read_all(Consumer(logs), 1, 2) == [(1, 7)]


def test_read_to_end_reaches_an_end_after_a_compacted_gap() -> None:
    assert read_all(Consumer({0: Log([0], end=5), 1: Log([], start=4, end=4)})) == [(0, 0)]


def test_read_to_end_leaves_out_records_written_meanwhile() -> None:
    consumer = Consumer({0: Log([0, 1], end=2)}, late=3)

    assert read_all(consumer) == [(0, 0), (0, 1)]


def test_end_is_known_after_the_first_read() -> None:
    consumer = Consumer({0: Log([0, 1], end=2)})
    topic = reader(consumer)

    async def read() -> tuple[int, int]:
        before = topic.end(0)
        async for _ in topic.read_to_end():
            pass
        return before, topic.end(0)

    assert asyncio.run(read()) == (0, 2)


def test_record_at_returns_the_record_of_that_offset() -> None:
    consumer = Consumer({0: Log([4], end=5), 1: Log([3, 4, 9], start=3, end=12)})

    assert record_at(consumer, 1, 4) == Found(1, 4)
    assert record_at(consumer, 1, 3) == Found(1, 3)


@pytest.mark.parametrize(
    ("number", "offset"),
    [
        (1, 2),  # before the start: deleted by retention
        (1, 5),  # in a gap: compacted
        (1, 11),  # the last one, and no record: a transaction's marker
        (1, 12),  # the end
        (1, 99),
        (2, 4),  # no such partition
    ],
)
def test_record_at_returns_none_where_there_is_no_record(number: int, offset: int) -> None:
    consumer = Consumer({0: Log([4], end=5), 1: Log([3, 4, 9], start=3, end=12)})

    assert record_at(consumer, number, offset) is None


def test_reads_time_out_after_a_minute_without_progress(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Consumer({0: Log([0], end=1)})
    consumer.silent = True
    monkeypatch.setattr(time, "monotonic", lambda: consumer.now_s)
    # The event loop reads this clock too, which does no harm: nothing here waits on a timer.

    for read in (lambda: read_all(consumer), lambda: record_at(consumer, 0, 0)):
        begin_s = consumer.now_s
        with pytest.raises(TimeoutError, match="nothing came for 60 s"):
            read()
        assert TIMEOUT_S <= consumer.now_s - begin_s <= TIMEOUT_S + 10
