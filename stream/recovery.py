"""Recovery: brings the state on disk up to its changelog, in bulk."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from stream.store import StateStore

_FETCH_BYTES = 4 << 20  # per partition and request
_PROGRESS_EVERY_S = 5.0
_log = structlog.get_logger(__name__)


class Recovery:
    """Reads the changelog with a consumer of its own, and writes the last value of each user.

    A partition is recovered when everything the broker said it has when it answered a fetch is
    on disk. The offset of a changelog record is written with its value, so that a recovery that
    is cut off goes on where it was.
    """

    def __init__(
        self,
        store: StateStore,
        changelog: str,
        client_options: Mapping[str, Any],
        observe_s: Callable[[float], None],
    ) -> None:
        self._store = store
        self._changelog = changelog
        self._client_options = client_options
        self._observe_s = observe_s

    async def recover(self, partitions: Iterable[int]) -> None:
        """Open these partitions, and bring them up to date."""
        start_s = time.perf_counter()
        numbers = sorted(partitions)
        for number in numbers:
            self._store.open(number)
        records = 0
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
        took_s = time.perf_counter() - start_s
        self._observe_s(took_s)
        _log.info("state recovered", partitions=numbers, records=records, took_s=round(took_s, 2))

    async def _read(self, consumer: AIOKafkaConsumer, numbers: list[int]) -> int:
        behind = {TopicPartition(self._changelog, number) for number in numbers}
        consumer.assign(behind)
        for tp in behind:
            offset = self._store.changelog_offset(tp.partition)
            if offset is None:
                await consumer.seek_to_beginning(tp)
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
                changes = {message.key: message.value for message in messages}
                self._store.write(tp.partition, changes.items(), messages[-1].offset)
                records += len(messages)
            behind = {tp for tp in behind if not await _at_end(consumer, tp)}
            if time.monotonic() - said_s > _PROGRESS_EVERY_S:
                said_s = time.monotonic()
                _log.info("recovering state", records=records, partitions_left=len(behind))
        return records

    async def _start_over(
        self, consumer: AIOKafkaConsumer, out_of_range: Mapping[TopicPartition, int]
    ) -> None:
        """The disk is ahead of its changelog, or the log no longer reaches back to it."""
        for tp in out_of_range:
            offset = self._store.changelog_offset(tp.partition)
            _log.warning("state does not fit its changelog: rebuilding", partition=tp.partition)
            if offset is not None:
                self._store.wipe(tp.partition, "ahead")
            await consumer.seek_to_beginning(tp)


async def _at_end(consumer: AIOKafkaConsumer, tp: TopicPartition) -> bool:
    # The end that comes with fetched records is the only one that every broker tells truly.
    end = consumer.highwater(tp)
    return end is not None and await consumer.position(tp) >= end
