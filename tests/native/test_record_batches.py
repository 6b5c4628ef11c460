"""Record batches: the native core reads and builds them exactly as aiokafka does."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.kafka.producer import NO_HEADERS, Record
from tests.native.batches import REFUSED, TIMESTAMP_MS, Aiokafka, Native, fetch_of, sealed

pytest.importorskip("lately_native", reason="needs the native core: make native")

CONTROL, LOG_APPEND_TIME, TRANSACTIONAL, GZIP = 1 << 5, 1 << 3, 1 << 4, 1
ONE: list[Record] = [(b"u1", b"{}", NO_HEADERS)]
TWO: list[Record] = [*ONE, (b"u2", None, [("ce_id", b"e1"), ("ä", None)])]
COMMIT = b"\0\0\0\1"  # the key of a control record: version 0, type 1

contents = st.none() | st.binary(max_size=300)
headers = st.lists(st.tuples(st.text(max_size=9), contents), max_size=3)
records = st.tuples(contents, contents, headers)
both = pytest.mark.parametrize("kafka", [Aiokafka, Native])


@both
def test_a_record_has_offset_timestamp_key_value_and_headers(kafka: type[Native]) -> None:
    fetch = kafka.read(fetch_of(TWO, offset=7), 7)

    assert fetch.records == [
        (7, TIMESTAMP_MS, b"u1", b"{}", ()),
        (8, TIMESTAMP_MS, b"u2", None, (("ce_id", b"e1"), ("ä", None))),
    ]
    assert fetch.next_offset == 9


@both
def test_records_below_the_offset_that_was_asked_for_are_left_out(kafka: type[Native]) -> None:
    fetch = kafka.read(fetch_of(TWO, offset=7), 8)

    assert [record[0] for record in fetch.records] == [8]


@both
def test_a_batch_that_is_cut_off_is_left_for_the_next_fetch(kafka: type[Native]) -> None:
    fetch = kafka.read(fetch_of(ONE) + fetch_of(TWO, offset=1)[:-1])

    assert (len(fetch.records), fetch.next_offset) == (1, 1)


@both
def test_the_time_of_the_log_counts_where_a_topic_says_so(kafka: type[Native]) -> None:
    plain = fetch_of(ONE)
    appended_ms = TIMESTAMP_MS + 5
    changed = plain[:35] + appended_ms.to_bytes(8, "big") + plain[43:]

    fetch = kafka.read(sealed(changed, 0, LOG_APPEND_TIME))

    assert fetch.records[0][1] == appended_ms


@both
def test_a_commit_marker_is_no_record_but_has_an_offset(kafka: type[Native]) -> None:
    marker = fetch_of(
        [(COMMIT, b"\0\0\0\0\0\0", NO_HEADERS)], offset=1, attributes=TRANSACTIONAL | CONTROL
    )

    fetch = kafka.read(fetch_of(ONE, attributes=TRANSACTIONAL) + marker)

    assert ([record[0] for record in fetch.records], fetch.next_offset) == ([0], 2)


@both
def test_a_compacted_batch_without_records_moves_the_offset(kafka: type[Native]) -> None:
    batch = fetch_of(TWO)[:61]
    empty = batch[:8] + (49).to_bytes(4, "big") + batch[12:57] + bytes(4)

    assert kafka.read(sealed(empty, 0, 0)) == ([], 2)


@both
@pytest.mark.parametrize("at", [20, 61, -1])
def test_a_flipped_bit_is_refused(kafka: type[Native], at: int) -> None:
    fetch = bytearray(fetch_of(TWO))
    fetch[at] ^= 1

    with pytest.raises(REFUSED):
        kafka.read(bytes(fetch))


def test_what_is_compressed_is_handed_back() -> None:
    with pytest.raises(ValueError, match="not all batches are plain"):
        Native.read(fetch_of(ONE, attributes=GZIP))


@given(st.lists(records, max_size=9), st.integers(0, 9), st.integers(62, 2000))
def test_every_fetch_is_read_alike(records: list[Record], offset: int, limit: int) -> None:
    fetch = fetch_of(records, limit=limit)

    assert Native.read(fetch, offset) == Aiokafka.read(fetch, offset)


@given(st.lists(records, min_size=1, max_size=4), st.data())
def test_what_the_core_takes_of_a_broken_batch_aiokafka_reads_alike(
    records: list[Record], data: st.DataObject
) -> None:
    batch = bytearray(fetch_of(records))
    for at in data.draw(st.lists(st.integers(21, len(batch) - 1), max_size=3)):
        batch[at] = data.draw(st.integers(0, 255))
    fetch = sealed(bytes(batch), 0, int.from_bytes(batch[21:23], "big"))

    try:
        found = Native.read(fetch)
    except ValueError:
        return  # handed back
    assert found == Aiokafka.read(fetch)


def build_all(batches: Sequence[Any]) -> list[bytes]:
    return [bytes(batch._build()) for batch in batches]


@given(st.lists(records, max_size=9), st.integers(62, 2000))
def test_every_batch_is_built_alike(records: list[Record], limit: int) -> None:
    ours, theirs = Native.build(records, limit), Aiokafka.build(records, limit)

    assert [b.record_count() for b in ours] == [b.record_count() for b in theirs]
    assert [b.size() for b in ours] == [b.size() for b in theirs]
    assert build_all(ours) == build_all(theirs)


@both
def test_the_producer_s_numbers_are_part_of_a_batch(kafka: type[Native]) -> None:
    [batch] = kafka.build(TWO)
    [plain] = build_all(kafka.build(TWO))

    batch._set_producer_state(4_000_000_000, 3, 42)
    built = bytes(batch._build())

    numbers = (4_000_000_000).to_bytes(8, "big") + (3).to_bytes(2, "big") + (42).to_bytes(4, "big")
    assert built[43:57] == numbers
    assert (built[:17], built[57:]) == (plain[:17], plain[57:])


def test_a_ready_batch_takes_no_more_records() -> None:
    [batch] = Native.build(ONE)

    assert batch.append(timestamp=None, key=b"u", value=b"", headers=[]) is None
    assert batch.closed()
    assert batch.record_count() == 1
