"""The spill and the files of the log: nothing is lost, and users stay together."""

import json
from pathlib import Path

import pytest

from stream.export.log_writer import LogWriter
from stream.export.spill import Row, Spill

NOW_MS = 1_790_000_000_000
FULL = Row("ann\n", 1, 7, NOW_MS, NOW_MS - 1, "buy", "ünïc☃de", "e1", "s1", "c1", 9.5, 2.0)


def rows(users: int, each: int) -> list[Row]:
    return [
        Row(f"u{number % users}", 0, number, NOW_MS, NOW_MS + number, "click", f"i{number}")
        for number in range(users * each)
    ]


def test_all_rows_of_a_user_are_in_one_bucket_in_their_order(tmp_path: Path) -> None:
    written = rows(users=40, each=3)
    with Spill(tmp_path, buckets=8) as spill:
        spill.add(written)
    read = [list(bucket) for bucket in spill.buckets()]
    users = [{row.user_id for row in bucket} for bucket in read]

    assert spill.rows == 120
    assert sum(map(len, users)) == 40
    assert sorted((row for bucket in read for row in bucket), key=lambda r: r.offset) == written
    for bucket in read:
        assert bucket == sorted(bucket, key=lambda row: row.offset)


def test_a_bucket_can_be_read_twice_and_removed(tmp_path: Path) -> None:
    with Spill(tmp_path, buckets=1) as spill:
        spill.add([FULL])
    (bucket,) = spill.buckets()

    assert list(bucket) == list(bucket) == [FULL]
    bucket.remove()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("count", "sizes"), [(0, []), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3])]
)
def test_a_file_has_so_many_rows(tmp_path: Path, count: int, sizes: list[int]) -> None:
    writer = LogWriter(tmp_path, rows_per_file=3)
    written = rows(users=1, each=count)
    writer.write(iter(written))
    files = [(tmp_path / name).read_text().splitlines() for name in writer.files]

    assert [len(lines) for lines in files] == sizes
    assert [json.loads(line)["item_id"] for lines in files for line in lines] == [
        row.item_id for row in written
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == writer.files
    assert (writer.first_ms, writer.last_ms) == (
        (NOW_MS, NOW_MS + count - 1) if count else (None, None)
    )


def test_a_row_has_the_fields_of_the_wire_contract_and_no_empty_ones(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    bare = Row("bob", 0, 1, NOW_MS, NOW_MS, "click", "i1")
    writer.write([FULL, bare])
    lines = (tmp_path / "events-00000.jsonl").read_text(encoding="utf-8").splitlines()

    full = {"user_id": "ann\n", "item_id": "ünïc☃de", "action": "buy", "ts": NOW_MS - 1}
    full |= {"event_id": "e1", "session_id": "s1", "category": "c1", "price": 9.5, "quantity": 2.0}
    assert [json.loads(line) for line in lines] == [
        full,
        {"user_id": "bob", "item_id": "i1", "action": "click", "ts": NOW_MS},
    ]
