"""The log reader: where topics start and end, and whose their last records are."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError, OffsetOutOfRangeError

from stream.kafka.client_internals import describe
from stream.kafka.commits import Source, group_of
from stream.kafka.fetching.lenient_headers import LenientConsumer
from stream.kafka.security import client_options
from stream.settings import KafkaSettings

_TIMEOUT_S = 5.0
# Of a fetch where the log ends: a reader that lacks nothing waits for no more than this. It is
# asked again until the broker has answered.
END_WAIT_MS = 10
_LAST_RECORDS = 100  # of a partition: compaction may have left a gap before its end


class LogReader:
    """Reads about topics and their last records with a client of its own, outside any group.

    Every method raises KafkaError, if only because no answer came in some seconds.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        self._consumer: Any = LenientConsumer(
            **client_options(settings),
            enable_auto_commit=False,
            auto_offset_reset="none",
            fetch_max_wait_ms=END_WAIT_MS,
        )
        self._turn = asyncio.Lock()  # each call has its own assignment

    async def __aenter__(self) -> Self:
        """Connect."""
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect."""
        await self._consumer.stop()

    @asynccontextmanager
    async def _call(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(_TIMEOUT_S), self._turn:
                yield
        except TimeoutError as error:
            raise KafkaTimeoutError(f"no answer in {_TIMEOUT_S:g} s") from error

    async def read(self, topic: str) -> Source | None:
        """Where the partitions of a topic start and end at this moment; None if there is none."""
        async with self._call():
            described = await describe(self._consumer, topic)
            if described is None:
                return None
            partitions = [TopicPartition(topic, number) for number in described.partitions]
            self._consumer.assign(partitions)
            starts = await self._consumer.beginning_offsets(partitions)
            ends = await self._consumer.end_offsets(partitions)
        return Source(
            described.id,
            {tp.partition: offset for tp, offset in starts.items()},
            {tp.partition: offset for tp, offset in ends.items()},
        )

    async def beyond(self, topic: str, source: Source, offsets: Mapping[int, int]) -> set[int]:
        """The partitions whose log ends before this offset, or that are gone.

        Where the end that the broker reports is below it, a fetch from there decides: not every
        broker reports true ends.
        """
        found = offsets.keys() - source.ends.keys()
        async with self._call():
            for number, offset in offsets.items():
                tp = TopicPartition(topic, number)
                if number in found or offset <= source.ends[number]:
                    continue
                self._consumer.assign([tp])
                self._consumer.seek(tp, offset)
                try:
                    while self._consumer.highwater(tp) is None:
                        if await self._consumer.getmany(tp, timeout_ms=END_WAIT_MS):
                            break
                except OffsetOutOfRangeError:
                    found.add(number)
        return found

    async def last_groups(self, topic: str) -> dict[str, list[int]]:
        """The groups that wrote the last records of a topic of scores, with their partitions."""
        source = await self.read(topic)
        if source is None:
            return {}
        groups: dict[str, list[int]] = {}
        unread = {
            TopicPartition(topic, number)
            for number, end in source.ends.items()
            if end > source.starts[number]
        }
        if not unread:
            return {}
        async with self._call():
            self._consumer.assign(unread)
            for tp in unread:
                start, end = source.starts[tp.partition], source.ends[tp.partition]
                self._consumer.seek(tp, max(start, end - _LAST_RECORDS))
            while unread:
                fetched = await self._consumer.getmany(*unread, timeout_ms=END_WAIT_MS)
                for tp, records in fetched.items():
                    for group in {group_of(record.headers) for record in records} - {None}:
                        if tp.partition not in groups.setdefault(str(group), []):
                            groups[str(group)].append(tp.partition)
                unread -= {tp for tp in unread if await is_caught_up(self._consumer, tp)}
        return groups


async def is_caught_up(consumer: AIOKafkaConsumer, tp: TopicPartition) -> bool:
    """Whether everything is read that the broker had when it answered the last fetch."""
    # Of all end offsets, only the one in a fetch response is right on every broker.
    end = consumer.highwater(tp)
    return end is not None and await consumer.position(tp) >= end
