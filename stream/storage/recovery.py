"""Recovery: brings the state on disk up to its changelog, in bulk."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from stream.events import Message
from stream.kafka.fetching.lenient_headers import LenientConsumer
from stream.kafka.fetching.log_reader import END_WAIT_MS, is_caught_up
from stream.kafka.producer import NO_HEADERS, Publisher, Record, await_acks
from stream.kafka.topic_checks import DEFAULT_TOMBSTONES_MS
from stream.storage.applied_offset import applied_offset_of_state, tombstone_headers
from stream.storage.store import StateStore
from stream.user_state import applied_offset_of

_FETCH_BYTES = 4 << 20  # per partition and request
_PROGRESS_EVERY_S = 5.0
_SAFE_SHARE = 0.75  # of it: clocks differ, and reading the changelog takes time
Values = dict[bytes, bytes | None]  # by user id as bytes; None deletes
_log = structlog.get_logger(__name__)


class Recovery:
    """Reads the changelog with a consumer of its own, and writes the last value of each user.

    The disk is read and written on threads: the event loop keeps the group's heartbeats, and the
    health server's answers.

    A partition is recovered when everything up to the end offset of the last fetch is on disk. The
    offset of a changelog record is written with its value, so an interrupted recovery resumes where
    it stopped. A disk that was not in use for longer than the changelog keeps tombstones
    (``tombstones_ms``) is rebuilt, or it would bring forgotten users back.
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
        """``publisher`` repairs the changelog; without one nothing is written to it."""
        self._store = store
        self._changelog = changelog
        self._client_options = client_options
        self._observe_s = observe_s
        self._publisher = publisher
        self._old_ms = int(tombstones_ms * _SAFE_SHARE)
        self._stale: dict[int, set[bytes]] = {}  # users whose last record is stale
        self._deleted: dict[int, dict[bytes, int]] = {}  # applied offsets of deleted users

    async def recover(self, partitions: Iterable[int]) -> None:
        """Open these partitions, and bring them up to date."""
        start_s = time.perf_counter()
        numbers = sorted(partitions)
        await asyncio.to_thread(self._open, numbers)
        records, self._stale = 0, {number: set() for number in numbers}
        self._deleted = {number: {} for number in numbers}
        if numbers:
            consumer = LenientConsumer(
                **self._client_options,
                auto_offset_reset="none",
                enable_auto_commit=False,
                max_partition_fetch_bytes=_FETCH_BYTES,
                fetch_max_wait_ms=END_WAIT_MS,
            )
            await consumer.start()
            try:
                records = await self._read(consumer, numbers)
            finally:
                await consumer.stop()
        await self._repair_changelog()
        self._deleted = {}
        await asyncio.to_thread(self._mark_complete, numbers, following=True)
        took_s = time.perf_counter() - start_s
        self._observe_s(took_s)
        _log.info("state recovered", partitions=numbers, records=records, took_s=round(took_s, 2))

    def _open(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._store.open(number)
            self._wipe_if_old(number)

    def _mark_complete(self, numbers: Iterable[int], *, following: bool) -> None:
        for number in numbers:
            self._store.mark_complete(number, following=following)

    def _wipe_if_old(self, partition: int) -> None:
        """Wipe a disk that may have missed a tombstone which compaction has removed since."""
        if self._store.changelog_offset(partition) is None:
            return
        age_ms = self._store.age_ms(partition)
        if age_ms is None or age_ms > self._old_ms:
            since = "unknown" if age_ms is None else f"{age_ms / 3_600_000:.1f}"
            _log.warning("state is old: rebuilding", partition=partition, hours=since)
            self._store.wipe(partition, "old")

    async def _read(self, consumer: AIOKafkaConsumer, numbers: list[int]) -> int:
        lagging = {TopicPartition(self._changelog, number) for number in numbers}
        consumer.assign(lagging)
        for tp in lagging:
            offset = self._store.changelog_offset(tp.partition)
            if offset is None:
                await self._begin(consumer, tp)
            else:
                consumer.seek(tp, offset + 1)
        records, logged_s = 0, time.monotonic()
        while lagging:
            try:
                fetched = await consumer.getmany(*lagging, timeout_ms=END_WAIT_MS)
            except OffsetOutOfRangeError as error:
                await self._start_over(consumer, error.args[0])
                continue
            for tp, messages in fetched.items():
                await asyncio.to_thread(self._write, tp.partition, messages)
                records += len(messages)
            lagging = {tp for tp in lagging if not await is_caught_up(consumer, tp)}
            if time.monotonic() - logged_s > _PROGRESS_EVERY_S:
                logged_s = time.monotonic()
                _log.info("recovering state", records=records, partitions_left=len(lagging))
        return records

    def _write(self, partition: int, messages: Sequence[Message]) -> None:
        changes = self._changes(partition, messages)
        self._store.write(partition, changes.items(), messages[-1].offset)

    def _changes(self, partition: int, messages: Sequence[Message]) -> Values:
        keys = list(dict.fromkeys(cast("bytes", message.key) for message in messages))
        known = zip(keys, self._store.get_many(partition, keys), strict=True)
        deleted = self._deleted[partition]
        applied = {key: deleted[key] for key in keys if key in deleted}
        applied |= {key: applied_offset_of(value) for key, value in known if value is not None}
        changes, stale = newest(applied, messages)
        deleted |= {k: applied[k] for k, value in changes.items() if value is None and k in applied}
        self._stale[partition] = (self._stale[partition] - changes.keys()) | stale
        return changes

    async def _repair_changelog(self) -> None:
        """Append the valid value after a stale one, or compaction would keep the stale one."""
        for partition, keys in self._stale.items():
            if keys and self._publisher is not None:
                ordered = sorted(keys)
                values = await asyncio.to_thread(self._store.get_many, partition, ordered)
                deleted = self._deleted[partition]
                records: list[Record] = [
                    (key, value, tombstone_headers(deleted[key]) if value is None else NO_HEADERS)
                    for key, value in zip(ordered, values, strict=True)
                ]
                sent = await self._publisher.send(self._changelog, partition, records)
                await await_acks(self._changelog, sent)
                _log.warning("changelog repaired", partition=partition, users=len(keys))

    async def _start_over(
        self, consumer: AIOKafkaConsumer, out_of_range: Mapping[TopicPartition, int]
    ) -> None:
        """Rebuild: the disk is ahead of its changelog, or its next record there is deleted."""
        for tp in out_of_range:
            _log.warning("state does not fit its changelog: rebuilding", partition=tp.partition)
            if self._store.changelog_offset(tp.partition) is not None:
                await asyncio.to_thread(self._store.wipe, tp.partition, "ahead")
            await self._begin(consumer, tp)

    async def _begin(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        await asyncio.to_thread(self._mark_complete, [tp.partition], following=False)
        await consumer.seek_to_beginning(tp)


def newest(applied: dict[bytes, int], messages: Iterable[Message]) -> tuple[Values, set[bytes]]:
    """The newest value of each user, and the users whose last record is stale.

    ``applied`` has the applied offset of each user and is updated. A record with a lower one is
    stale and ignored (`stream.storage.applied_offset`).
    """
    changes: Values = {}
    stale: set[bytes] = set()
    for message in messages:
        key, value = cast("bytes", message.key), message.value
        offset = applied_offset_of_state(value, message.headers)
        if offset is not None:
            if offset < applied.get(key, -1):
                stale.add(key)
                continue
            applied[key] = offset
        changes[key] = value
        stale.discard(key)
    return changes, stale
