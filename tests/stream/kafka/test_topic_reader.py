"""Reading a topic up to now, or at one place, where compaction and time have left gaps."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition

from stream.kafka.command_clients import TIMEOUT_S, TopicReader

TOPIC = "t"


class Found(NamedTuple):
    """A record as far as the reader looks at it."""

    partition: int
    offset: int


class Log(NamedTuple):
    """A partition: the offsets that it still has, from its start to its end."""

    offsets: list[int]
    start: int = 0
    end: int = 0


class Consumer:
    """What the reader uses of the client's: one record of each partition a fetch.

    The end of a partition is known after the first fetch; as many records as ``late`` says come
    after that. Each fetch in which nothing comes takes ten seconds of ``now_s``.
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


def until_now(consumer: Consumer, *numbers: int) -> list[tuple[int, int]]:
    async def read() -> list[tuple[int, int]]:
        batches = reader(consumer).read_to_end(*numbers)
        return [(r.partition, r.offset) async for records in batches for r in records]

    return sorted(asyncio.run(read()))


def at(consumer: Consumer, number: int, offset: int) -> Any:
    return asyncio.run(reader(consumer).record_at(number, offset))


def test_everything_is_read_that_a_partition_has_and_of_no_other() -> None:
    logs = {0: Log([0, 1, 2], end=3), 1: Log([7], start=5, end=8), 2: Log([], end=0)}

    assert until_now(Consumer(logs)) == [(0, 0), (0, 1), (0, 2), (1, 7)]
    assert until_now(Consumer(logs), 1, 2) == [(1, 7)]


def test_an_end_that_compaction_left_no_record_before_is_reached() -> None:
    assert until_now(Consumer({0: Log([0], end=5), 1: Log([], start=4, end=4)})) == [(0, 0)]


def test_what_comes_while_it_reads_is_not_of_now() -> None:
    consumer = Consumer({0: Log([0, 1], end=2)}, late=3)

    assert until_now(consumer) == [(0, 0), (0, 1)]


def test_the_end_is_that_of_the_last_read() -> None:
    consumer = Consumer({0: Log([0, 1], end=2)})
    there = reader(consumer)

    async def read() -> tuple[int, int]:
        before = there.end(0)
        async for _ in there.read_to_end():
            pass
        return before, there.end(0)

    assert asyncio.run(read()) == (0, 2)


def test_a_record_is_found_at_its_place() -> None:
    consumer = Consumer({0: Log([4], end=5), 1: Log([3, 4, 9], start=3, end=12)})

    assert at(consumer, 1, 4) == Found(1, 4)
    assert at(consumer, 1, 3) == Found(1, 3)


@pytest.mark.parametrize(
    ("number", "offset"),
    [
        (1, 2),  # before the beginning: deleted by time
        (1, 5),  # between two: compacted
        (1, 12),  # the end
        (1, 99),
        (2, 4),  # no such partition
    ],
)
def test_where_there_is_no_record_none_is_found(number: int, offset: int) -> None:
    consumer = Consumer({0: Log([4], end=5), 1: Log([3, 4, 9], start=3, end=12)})

    assert at(consumer, number, offset) is None


def test_a_broker_that_falls_silent_is_waited_for_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    consumer = Consumer({0: Log([0], end=1)})
    consumer.silent = True
    monkeypatch.setattr(time, "monotonic", lambda: consumer.now_s)
    # The event loop asks for the time as well; it need not pass for what does not wait.

    for read in (lambda: until_now(consumer), lambda: at(consumer, 0, 0)):
        begin_s = consumer.now_s
        with pytest.raises(TimeoutError, match="nothing came for 60 s"):
            read()
        assert TIMEOUT_S <= consumer.now_s - begin_s <= TIMEOUT_S + 10
