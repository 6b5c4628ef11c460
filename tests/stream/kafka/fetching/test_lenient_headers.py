"""Header names of any bytes are read, and the records around them as before."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import _DefaultRecordBatchBuilderPy
from aiokafka.record.memory_records import MemoryRecords
from hypothesis import given
from hypothesis import strategies as st

from stream.kafka.fetching import lenient_headers
from stream.kafka.fetching.lenient_headers import LenientConsumer, read_any_header

PLACE = TopicPartition("events", 0)
NONE, GZIP, SNAPPY, LZ4, ZSTD = range(5)
records = st.tuples(
    st.none() | st.binary(max_size=20),
    st.none() | st.binary(max_size=200),
    st.lists(st.tuples(st.binary(max_size=6), st.none() | st.binary(max_size=6)), max_size=3),
)


class Bytes(str):
    """A header name that is sent as these bytes."""

    raw: bytes

    def encode(self, *_: Any) -> bytes:
        return self.raw


def named(raw: bytes) -> Bytes:
    name = Bytes()
    name.raw = raw
    return name


def fetch_of(batches: list[list[Any]], codec: int = NONE) -> bytes:
    """What a broker answers; offsets go on from batch to batch."""
    fetched, first = b"", 0
    for batch in batches:
        builder = _DefaultRecordBatchBuilderPy(2, codec, False, -1, -1, -1, 1 << 20)
        for offset, (key, value, headers) in enumerate(batch):
            names = [(named(name), text) for name, text in headers]
            builder.append(offset, timestamp=1000 + offset, key=key, value=value, headers=names)
        built = bytes(builder.build())
        fetched += first.to_bytes(8, "big") + built[8:]
        first += len(batch)
    return fetched


def read(fetched: bytes, first: int = 0, check_crcs: bool = True) -> list[Any]:
    read_any_header()
    records = fetcher.MemoryRecords(fetched)
    return list(fetcher.PartitionRecords(PLACE, records, None, first, None, None, check_crcs, 0))


def text_of(name: bytes) -> str:
    return name.decode(errors="backslashreplace")


@given(
    st.lists(st.lists(records, min_size=1, max_size=4), min_size=1, max_size=3),
    st.sampled_from([NONE, GZIP, SNAPPY, LZ4, ZSTD]),
    st.integers(0, 5),
)
def test_every_record_is_read_once_in_order_with_names_escaped_where_they_are_no_text(
    batches: list[list[Any]], codec: int, first: int
) -> None:
    first = min(first, len(batches[0]) - 1)  # a broker begins with the batch that is asked for
    sent = [record for batch in batches for record in batch]

    found = read(fetch_of(batches, codec), first)

    assert [record.offset for record in found] == list(range(first, len(sent)))
    assert [(r.key, r.value, list(r.headers)) for r in found] == [
        (key, value, [(text_of(name), text) for name, text in headers])
        for key, value, headers in sent[first:]
    ]


def test_a_batch_without_such_a_name_is_read_by_the_fast_parser() -> None:
    # The parser in C knows neither our batch nor our bytes; it raises on what only ours can read.
    fetched = fetch_of([[(b"k", b"v", [(b"\xff", b"")])]])

    with pytest.raises(UnicodeDecodeError):
        list(MemoryRecords(fetched).next_batch())


def test_damage_is_still_an_error() -> None:
    fetched = bytearray(fetch_of([[(b"k", b"value", [(b"\xff", b"")])]]))
    fetched[-3] ^= 1

    with pytest.raises(CorruptRecordException):
        read(bytes(fetched))


def test_a_fetcher_that_misses_its_cancellation_does_not_keep_a_consumer_from_stopping(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As aiokafka's does while it gives up an assignment, just after the next `assign`."""
    monkeypatch.setattr(lenient_headers, "STOP_S", 0.01)
    closed = []

    async def main() -> None:
        consumer = LenientConsumer(bootstrap_servers="127.0.0.1:1")
        busy = asyncio.Event()

        async def fetch() -> None:
            with suppress(asyncio.CancelledError):
                busy.set()
                await asyncio.Future()
            await asyncio.Future()  # this is what it is cancelled for no more

        async def close() -> None:
            closed.append("client")

        fetching = fetcher.Fetcher.__new__(fetcher.Fetcher)
        fetching._fetch_task = asyncio.create_task(fetch())
        fetching._fetch_waiters, fetching._pending_tasks = set(), set()
        consumer._fetcher = fetching
        monkeypatch.setattr(consumer._client, "close", close)
        await busy.wait()
        # Not `asyncio.timeout`, whose cancellation would do what the consumer has to do itself.
        stopped, waiting = await asyncio.wait({asyncio.create_task(consumer.stop())}, timeout=10)
        assert stopped and not waiting

    asyncio.run(main())

    assert closed == ["client"]


def test_a_fetch_that_waits_to_try_again_does_not_break_off_the_end_of_a_consumer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """aiokafka cancels it and waits for it: its own cancellation is not that of the caller."""
    closed = []

    async def main() -> None:
        consumer = LenientConsumer(bootstrap_servers="127.0.0.1:1")

        async def close() -> None:
            closed.append("client")

        fetching = fetcher.Fetcher.__new__(fetcher.Fetcher)
        fetching._fetch_task = asyncio.create_task(asyncio.sleep(0))
        fetches = [asyncio.create_task(asyncio.sleep(3_600)) for _ in range(3)]
        fetching._fetch_waiters, fetching._pending_tasks = set(), set(fetches)
        consumer._fetcher = fetching
        monkeypatch.setattr(consumer._client, "close", close)
        await asyncio.sleep(0)
        await consumer.stop()
        assert all(fetch.cancelled() for fetch in fetches)

    asyncio.run(main())

    assert closed == ["client"]
