"""Compressed batches of the native core: aiokafka reads them, and none grows by it."""

from typing import Any, get_args

import pytest
from aiokafka.record.memory_records import MemoryRecords

from stream.kafka.producer import Publisher, Record
from stream.settings import Compression
from tests.native.batches import Native

core = pytest.importorskip("lately_native", reason="needs the native core: make native")

NUMBERS = {"none": 0, "gzip": 1, "lz4": 3, "zstd": 4}  # Kafka's, of the codecs
LONG: list[Record] = [(b"u%d" % n, b"the same words " * 20, []) for n in range(50)]


def compressed(records: list[Record], compression: Compression) -> bytes:
    unused: Any = None
    publisher: Any = Publisher(unused, compression=compression)
    (batch,) = publisher.compress(Native.build(records))
    return bytes(batch._build())


def read(data: bytes) -> tuple[int, list[tuple[bytes | None, bytes | None]]]:
    """The codec's number, and the records."""
    batch = MemoryRecords(data).next_batch()
    assert batch.validate_crc()
    return batch.compression_type, [(record.key, record.value) for record in batch]


@pytest.mark.parametrize("compression", get_args(Compression))
def test_what_is_compressed_is_read(compression: Compression) -> None:
    data = compressed(LONG, compression)

    assert read(data) == (NUMBERS[compression], [(key, value) for key, value, _ in LONG])
    assert (len(data) < len(compressed(LONG, "none")) / 5) == (compression != "none")


@pytest.mark.parametrize("compression", get_args(Compression))
def test_what_would_grow_stays_plain(compression: Compression) -> None:
    assert read(compressed([(b"k", b"v", [])], compression)) == (0, [(b"k", b"v")])
