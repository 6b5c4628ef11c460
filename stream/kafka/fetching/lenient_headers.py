"""Lenient header names: bytes that are not UTF-8 are escaped, instead of ending the consumer.

Kafka's protocol requires UTF-8, but brokers do not check it. aiokafka raises in the middle of a
fetch, and again after every restart. Only a batch that it cannot read is read again, by its slower
parser.
"""

import asyncio
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record import default_records, memory_records

STOP_S = 1.0  # after which a consumer is stopped whatever its tasks wait for


class _Text(bytearray):
    """Bytes whose slices always decode: those that are not UTF-8 become hexadecimal escapes."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return _Text(found) if isinstance(at, slice) else found

    def decode(self, encoding: str = "utf-8", errors: str = "backslashreplace") -> str:
        return super().decode(encoding, errors)


class _Batch(default_records._DefaultRecordBatchPy):  # type: ignore[misc]
    def _maybe_uncompress(self) -> None:
        super()._maybe_uncompress()
        self._buffer: bytearray = _Text(self._buffer)


class _Batches(memory_records._MemoryRecordsPy):  # type: ignore[misc]
    """The batches of a fetch, without those that end before an offset."""

    def __init__(self, data: bytes, first: int) -> None:
        super().__init__(data)
        self._first = first

    def next_batch(self) -> Any:
        data = self._next_slice
        batch = super().next_batch()
        if batch is None or batch.magic < 2:
            return batch
        return self.next_batch() if batch.next_offset <= self._first else _Batch(data)


class _Fetched(memory_records.MemoryRecords):  # type: ignore[misc]
    """The batches of a fetch, which keep its bytes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.data = data


class LenientRecords(fetcher.PartitionRecords):  # type: ignore[misc]
    """The records of a fetch; after a bad header name, the rest is parsed again."""

    def __next__(self) -> Any:
        # No super().__next__(): one more call per record would be slow.
        try:
            return next(self._records_iterator)
        except (UnicodeDecodeError, CorruptRecordException):  # from the parser in C or in Python
            self._parse_again()
            return next(self._records_iterator)

    def _parse_again(self) -> None:
        self._records: Any = _Batches(self._records.data, self.next_fetch_offset)
        self._records_iterator = self._unpack_records()


class LenientConsumer(AIOKafkaConsumer):  # type: ignore[misc]
    """A consumer outside of any group that accepts any header name, and that stops in any case."""

    def __init__(self, *topics: str, **options: Any) -> None:
        read_any_header()
        super().__init__(*topics, **options)

    async def start(self) -> None:
        """Connect; one that cannot leaves nothing open."""
        try:
            await super().start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Disconnect."""
        # aiokafka's fetcher misses its cancellation while it gives up an assignment, and `stop`
        # then waits for it for ever; to cancel `stop` cancels the fetcher once more.
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_S):
                try:
                    await super().stop()
                except asyncio.CancelledError:
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                    # Not of ours, but of a fetch that aiokafka cancels and then waits for.
                    await self._abandon_fetches()

    async def _abandon_fetches(self) -> None:
        """Do what is left to do when `stop` is broken off by a fetch in progress."""
        pending = list(self._fetcher._pending_tasks)
        for fetch in pending:
            fetch.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await self._client.close()


def read_any_header() -> None:
    """Make every consumer of this process accept any header name."""
    fetcher.MemoryRecords = _Fetched
    if not issubclass(fetcher.PartitionRecords, LenientRecords):
        fetcher.PartitionRecords = LenientRecords
