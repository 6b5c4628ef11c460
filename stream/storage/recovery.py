"""Recovery: brings the state on disk up to its changelog, in bulk."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from stream.events import Message
from stream.kafka.producer import NO_HEADERS, Publisher, Record, acknowledged
from stream.kafka.topic_checks import DEFAULT_TOMBSTONES_MS
from stream.storage.applied_offset import headers_of_null, reach_of_state
from stream.storage.store import StateStore
from stream.user_state import applied_offset_of
from stream.worker.memory import sweep

_FETCH_BYTES = 4 << 20  # per partition and request
_PROGRESS_EVERY_S = 5.0
_SAFE_SHARE = 0.75  # of it: clocks differ, and reading the changelog takes time
Values = dict[bytes, bytes | None]  # by user id as bytes; None deletes
_log = structlog.get_logger(__name__)


class Recovery:
    """Reads the changelog with a consumer of its own, and writes the last value of each user.

    A partition is recovered when everything the broker said it has when it answered a fetch is
    on disk. The offset of a changelog record is written with its value, so that a recovery that
    is cut off goes on where it was. A disk that was away for longer than the changelog keeps the
    tombstones of forgotten users (``tombstones_ms``) is rebuilt, or it would bring them back.
    """

    def __init__(
        self,
        store: StateStore,
        changelog: str,
        client_options: Mapping[str, Any],
        observe_s: Callable[[float], None],
        publisher: Publisher | None,
        tombstones_ms: int = DEFAULT_TOMBSTONES_MS,
    ) -> None:
        """Without a publisher nothing is written to the changelog."""
        self._store = store
        self._changelog = changelog
        self._client_options = client_options
        self._observe_s = observe_s
        self._publisher = publisher
        self._old_ms = int(tombstones_ms * _SAFE_SHARE)
        self._stale: dict[int, set[bytes]] = {}
        self._gone: dict[int, dict[bytes, int]] = {}  # how far those deleted had come

    async def recover(self, partitions: Iterable[int]) -> None:
        """Open these partitions, and bring them up to date."""
        start_s = time.perf_counter()
        numbers = sorted(partitions)
        for number in numbers:
            self._store.open(number)
            self._wipe_if_old(number)
        records, self._stale = 0, {number: set() for number in numbers}
        self._gone = {number: {} for number in numbers}
        if numbers:
            consumer = AIOKafkaConsumer(
                **self._client_options,
                auto_offset_reset="none",
                enable_auto_commit=False,
                max_partition_fetch_bytes=_FETCH_BYTES,
                fetch_max_wait_ms=100,
            )
            await consumer.start()
            try:
                records = await self._read(consumer, numbers)
            finally:
                await consumer.stop()
        await self._mend()
        self._gone = {}
        sweep()
        for number in numbers:
            self._store.miss_nothing(number, from_now_on=True)
        took_s = time.perf_counter() - start_s
        self._observe_s(took_s)
        _log.info("state recovered", partitions=numbers, records=records, took_s=round(took_s, 2))

    def _wipe_if_old(self, partition: int) -> None:
        """What it has missed may be gone from the changelog: a tombstone of somebody forgotten."""
        if self._store.changelog_offset(partition) is None:
            return
        age_ms = self._store.age_ms(partition)
        if age_ms is None or age_ms > self._old_ms:
            since = "unknown" if age_ms is None else f"{age_ms / 3_600_000:.1f}"
            _log.warning("state is old: rebuilding", partition=partition, hours=since)
            self._store.wipe(partition, "old")

    async def _read(self, consumer: AIOKafkaConsumer, numbers: list[int]) -> int:
        behind = {TopicPartition(self._changelog, number) for number in numbers}
        consumer.assign(behind)
        for tp in behind:
            offset = self._store.changelog_offset(tp.partition)
            if offset is None:
                await self._begin(consumer, tp)
            else:
                consumer.seek(tp, offset + 1)
        records, said_s = 0, time.monotonic()
        while behind:
            try:
                fetched = await consumer.getmany(*behind, timeout_ms=200)
            except OffsetOutOfRangeError as error:
                await self._start_over(consumer, error.args[0])
                continue
            for tp, messages in fetched.items():
                changes = self._changes(tp.partition, messages)
                self._store.write(tp.partition, changes.items(), messages[-1].offset)
                records += len(messages)
            behind = {tp for tp in behind if not await at_end(consumer, tp)}
            if time.monotonic() - said_s > _PROGRESS_EVERY_S:
                said_s = time.monotonic()
                _log.info("recovering state", records=records, partitions_left=len(behind))
        return records

    def _changes(self, partition: int, messages: Sequence[Message]) -> Values:
        keys = list(dict.fromkeys(cast("bytes", message.key) for message in messages))
        known = zip(keys, self._store.get_many(partition, keys), strict=True)
        gone = self._gone[partition]
        applied = {key: gone[key] for key in keys if key in gone}
        applied |= {key: applied_offset_of(value) for key, value in known if value is not None}
        changes, stale = newest(applied, messages)
        gone |= {k: applied[k] for k, value in changes.items() if value is None and k in applied}
        self._stale[partition] = (self._stale[partition] - changes.keys()) | stale
        return changes

    async def _mend(self) -> None:
        """Write what counts behind what came too late, or compaction would leave the latter."""
        for partition, keys in self._stale.items():
            if keys and self._publisher is not None:
                values = self._store.get_many(partition, ordered := sorted(keys))
                gone = self._gone[partition]
                records: list[Record] = [
                    (key, value, headers_of_null(gone[key]) if value is None else NO_HEADERS)
                    for key, value in zip(ordered, values, strict=True)
                ]
                sent = await self._publisher.send(self._changelog, partition, records)
                await acknowledged(self._changelog, sent)
                _log.warning("changelog mended", partition=partition, users=len(keys))

    async def _start_over(
        self, consumer: AIOKafkaConsumer, out_of_range: Mapping[TopicPartition, int]
    ) -> None:
        """The disk is ahead of its changelog, or the log no longer reaches back to it."""
        for tp in out_of_range:
            offset = self._store.changelog_offset(tp.partition)
            _log.warning("state does not fit its changelog: rebuilding", partition=tp.partition)
            if offset is not None:
                self._store.wipe(tp.partition, "ahead")
            await self._begin(consumer, tp)

    async def _begin(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        self._store.miss_nothing(tp.partition, from_now_on=False)
        await consumer.seek_to_beginning(tp)


def newest(applied: dict[bytes, int], messages: Iterable[Message]) -> tuple[Values, set[bytes]]:
    """The values that users come to, and whose last record does not count.

    ``applied`` is how far of the log each has come, and is brought up to date. A record of less
    came too late (`stream.storage.applied_offset`).
    """
    changes: Values = {}
    stale: set[bytes] = set()
    for message in messages:
        key, value = cast("bytes", message.key), message.value
        reach = reach_of_state(value, message.headers)
        if reach is not None:
            if reach < applied.get(key, -1):
                stale.add(key)
                continue
            applied[key] = reach
        changes[key] = value
        stale.discard(key)
    return changes, stale


async def at_end(consumer: AIOKafkaConsumer, tp: TopicPartition) -> bool:
    """Whether everything is read that the broker had when it answered the last fetch."""
    # The end that comes with fetched records is the only one that every broker tells truly.
    end = consumer.highwater(tp)
    return end is not None and await consumer.position(tp) >= end
