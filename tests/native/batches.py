"""Record batches as aiokafka, the reference, reads and builds them, and as the native core does."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.structs import TopicPartition

from model import native
from stream.kafka.producer import Record

TIMESTAMP_MS = 1_790_000_000_000
PARTITION = TopicPartition("events", 0)
Read = tuple[int, int, bytes | None, bytes | None, tuple[tuple[str, bytes | None], ...]]


class Fetch(NamedTuple):
    """What was read of a fetch, and where the next one starts."""

    records: list[Read]
    next_offset: int


class Aiokafka:
    """The reference."""

    @staticmethod
    def read(fetch: bytes, offset: int = 0) -> Fetch:
        """Raises CorruptRecordException and whatever else its parser does."""
        found = PartitionRecords(
            PARTITION, MemoryRecords(fetch), [], offset, None, None, True, READ_COMMITTED
        )
        records = [(r.offset, r.timestamp, r.key, r.value, r.headers) for r in found]
        return Fetch(records, found.next_fetch_offset)

    @staticmethod
    def build(records: Iterable[Record], limit: int = 1_000_000) -> list[Any]:
        """All records get the same timestamp."""
        batches, batch = [], BatchBuilder(limit, 0)
        for key, value, headers in records:
            record = {"timestamp": TIMESTAMP_MS, "key": key, "value": value, "headers": headers}
            if batch.append(**record) is None:
                batches.append(batch)
                batch = BatchBuilder(limit, 0)
                batch.append(**record)
        return [*batches, batch] if batch.record_count() else batches


class Native:
    """The native core; ValueError where it hands a fetch back."""

    @staticmethod
    def read(fetch: bytes, offset: int = 0) -> Fetch:
        chunk = native.core.Chunk(fetch, offset)
        records = [chunk[at] for at in range(len(chunk))]
        assert [chunk.offset(at) for at in range(len(chunk))] == [record[0] for record in records]
        return Fetch(records, chunk.next_offset)

    @staticmethod
    def build(records: Iterable[Record], limit: int = 1_000_000) -> list[Any]:
        return list(native.core.build_batches(records, limit, TIMESTAMP_MS))


REFUSED = (CorruptRecordException, ValueError)  # by the one and by the other


def fetch_of(
    records: Sequence[Record],
    *,
    offset: int = 0,
    attributes: int = 0,
    limit: int = 1_000_000,
) -> bytes:
    """A fetch of batches as a broker stores them, from an offset on."""
    stored = []
    for batch in Aiokafka.build(records, limit):
        stored.append(sealed(bytes(batch._build()), offset, attributes))
        offset += batch.record_count()
    return b"".join(stored)


def sealed(batch: bytes, offset: int, attributes: int) -> bytes:
    """The batch with another base offset and other attributes, its checksum made anew."""
    from aiokafka.record.util import calc_crc32c

    body = attributes.to_bytes(2, "big") + batch[23:]
    crc: int = calc_crc32c(body)
    return offset.to_bytes(8, "big") + batch[8:17] + crc.to_bytes(4, "big") + body
