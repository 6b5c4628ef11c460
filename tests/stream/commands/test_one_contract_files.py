"""Files as other programs leave them are read alike by train and replay."""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from model.data.row import DEEPEST, LARGEST_BYTES
from stream.events import MAX_DEPTH
from stream.settings import WorkerSettings
from tests.stream.commands.test_one_contract import GOOD, by_item, replayed, trained_on
from tests.stream.fakes import NOW_MS

pl = pytest.importorskip("polars", reason="the extra `train` is not installed")

from model.data.log_files import check_start, open_log_file  # noqa: E402 it needs polars
from model.errors import DataError  # noqa: E402
from stream.commands.event_log import EventLogError, ReplayLog  # noqa: E402

LINE = json.dumps(GOOD)
OTHER = GOOD | {"item_id": "i2"}


def text_alone(value: object) -> str:
    """A test's name; the bytes of archives differ from run to run."""
    return value if isinstance(value, str) else "bytes"


def with_field(json_text: str) -> str:
    return f"{LINE[:-1]}, {json_text}}}"


def assert_both_read(path: Path, expected: list[dict[str, Any]]) -> None:
    assert by_item(trained_on(path)) == by_item(replayed(path)) == by_item(expected)


def assert_both_refuse(path: Path, why: str) -> None:
    with pytest.raises(DataError) as of_train:
        open_log_file(path)
    with pytest.raises(EventLogError) as of_replay:
        ReplayLog.open([path])
    for said in (str(of_train.value), str(of_replay.value)):
        assert why in said and "\n" not in said


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        # Of a name that occurs twice the last value counts, as at a worker.
        ([LINE, with_field('"item_id": "i2"')], [GOOD, OTHER]),
        ([f'{{"user_id": 1.5, {LINE[1:]}'], [GOOD]),
        ([with_field('"item\\u005fid": "i2"')], [OTHER]),
        ([with_field('"x": {"item_id": "i2"}')], [GOOD]),
        ([with_field('"category": "item_id"')], [GOOD | {"category": "item_id"}]),
        # What is in fields that nobody needs.
        ([with_field('"x": ' + "[" * DEEPEST + "]" * DEEPEST)], [GOOD]),
        ([with_field('"x": ' + "[" * 500 + "]" * 500)], [GOOD]),
        ([with_field('"x": "' + "[{" * 20 + '"')], [GOOD]),
        ([with_field(f'"x": "{"y" * LARGEST_BYTES}"')], [GOOD]),
        ([with_field(f'"x": {"9" * 400}')], [GOOD]),
        ([with_field('"x": 1e999')], [GOOD]),
        # What lies between the lines.
        ([LINE, "\ufeff" + json.dumps(OTHER)], [GOOD, OTHER]),
        ([LINE, "\x0c", " \t", "", json.dumps(OTHER)], [GOOD, OTHER]),
        ([f"  {LINE}\t"], [GOOD]),
        # What may be in a text.
        ([LINE.replace("u1", "\\ud83d\\uded2")], [GOOD | {"user_id": "🛒"}]),
        ([LINE.replace("u1", "a\\u0000b")], [GOOD | {"user_id": "a\0b"}]),
        ([LINE.replace("u1", "a\u2028b")], [GOOD | {"user_id": "a\u2028b"}]),
        ([LINE.replace("u1", " u1 ")], [GOOD | {"user_id": " u1 "}]),
        ([json.dumps(GOOD | {"user_id": "🛒" * 256})], [GOOD | {"user_id": "🛒" * 256}]),
    ],
)
def test_a_line_of_json_is_one_event_for_all(
    tmp_path: Path, lines: list[str], expected: list[dict[str, Any]]
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")

    assert_both_read(path, expected)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (LINE.replace(str(NOW_MS), f"{NOW_MS}.0"), "which is no integer; expected"),
        (LINE.replace(str(NOW_MS), "1.79e12"), "which is no integer; expected"),
        (with_field(f'"price": {"9" * 400}'), "a number is too large for 64 bits"),
        (with_field('"price": 1e999'), "Number out of range"),
        (with_field('"x": [NaN]'), "NaN is no JSON; write null"),
        (with_field('"x": ' + "[" * 100_000 + "]" * 100_000), "is nested too deep"),
        (with_field('"x": "\\udc00"'), "invalid utf-16 surrogate pair"),
        (LINE.replace("u1", "a\tb"), "invalid character"),
        (LINE + LINE, "trailing characters"),
        (LINE + " // a comment", "trailing characters"),
        (str(GOOD), "object keys must be strings"),
        (f"[{LINE}]", "is not a JSON object"),
        ("null", "'null' is not a JSON object"),
        (with_field('"category": ["a"]'), "category is ['a'], expected a text or an integer"),
    ],
)
def test_a_line_of_json_that_is_no_event_is_none_for_both(
    tmp_path: Path, line: str, why: str
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(f"{LINE}\n{line}\n", encoding="utf-8")

    assert_both_refuse(path, why)
    assert_both_refuse(path, "line 2: ")


HEAD = "user_id,item_id,action,ts"
ROW, ROW_2 = f"u1,i1,click,{NOW_MS}", f"u1,i2,click,{NOW_MS}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{HEAD}\r{ROW}\r{ROW_2}\r", [GOOD, OTHER]),  # an old Mac's
        (f"\ufeff{HEAD}\r\n{ROW}\r\n\r\n{ROW_2}", [GOOD, OTHER]),
        (f"{HEAD}\n{ROW}\n\ufeff{ROW_2}\n", [GOOD, OTHER]),
        (f'{HEAD}\n{ROW}\n\ufeff"u1",i2,click,{NOW_MS}\n', [GOOD, OTHER]),
        (f"\n\n{HEAD}\n{ROW}\n", [GOOD]),
        (f'{HEAD}\n"","","",""\n,,,\n{ROW}\n', [GOOD]),
        (f",{HEAD}\n0,{ROW}\n", [GOOD]),  # pandas, with its index
        (f"row,found_ts,wrong_user_id,{HEAD}\n1,2,3,{ROW}\n", [GOOD]),
        (f"{HEAD},price\n{ROW}\n", [GOOD]),
        (f'{HEAD}\nu"1,i1,click,{NOW_MS}\n', [GOOD | {"user_id": 'u"1'}]),
        (f'{HEAD}\n"u\n1",i1,click,{NOW_MS}\n', [GOOD | {"user_id": "u\n1"}]),
        (f"{HEAD}\n007,0012,click,{NOW_MS}\n", [GOOD | {"user_id": "007", "item_id": "0012"}]),
        (f"{HEAD},note\n{ROW},{'x' * 140_000}\n", [GOOD]),
        (f'{HEAD},price\n{ROW},"19,90"\n', [GOOD]),  # as the documents say: none
    ],
)
def test_a_csv_is_the_same_table_for_all(
    tmp_path: Path, text: str, expected: list[dict[str, Any]]
) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(text.encode())

    assert_both_read(path, expected)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (f"{HEAD},user_id\n{ROW},u2\n".encode(), "has two columns user_id; rename the one"),
        (f'{HEAD}\n{ROW}\n"u1,i2,click,1\n'.encode(), "row 2: unexpected end of data"),
        (f'{HEAD}\n"u1"x,i1,click,{NOW_MS}\n'.encode(), "row 1: ',' expected after '\"'"),
        (f"{HEAD}\n{ROW}\n{HEAD}\n{ROW}\n".encode(), "no readable time in ts: 'ts'"),
        (f"{HEAD}\n{ROW}\nkäthe,i,click,1\n".encode("cp1252"), "row 2: holds bytes that are not"),
        (f"{HEAD}\n{ROW}\n".encode("utf-16-le"), "is UTF-16, expected UTF-8; `lately convert`"),
        (f"{HEAD}\n{ROW}\n".encode("utf-32"), "is UTF-32, expected UTF-8; `lately convert`"),
        (gzip.compress(f"{HEAD}\n{ROW}\n".encode()), "is packed by gzip, expected text; `lately"),
        (b"PK\x03\x04xl/worksheets", "is a zip archive or a workbook; name it .zip"),
        (b"PAR1", "is Parquet; name it .parquet"),
        (f"{HEAD.upper()}\n{ROW}\n".encode(), "--map user_id=USER_ID --map item_id=ITEM_ID"),
        (f"{HEAD}\n{ROW}.0\n".encode(), f"no readable time in ts: '{NOW_MS}.0'"),
        (f"{HEAD}\n".encode(), "the log is empty"),
    ],
    ids=text_alone,
)
def test_a_csv_that_is_no_log_is_none_for_both(tmp_path: Path, content: bytes, why: str) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(content)

    assert_both_refuse(path, why)


@pytest.mark.parametrize(
    "content",
    [
        f"{HEAD},user_id\n".encode(),
        f"{HEAD}\n".replace(",", ";").encode(),
        f"{HEAD}\n".encode("utf-16"),
        f"{HEAD}\n".encode("utf-16-le"),
        gzip.compress(f"{HEAD}\n".encode()),
        b"PK\x03\x04xl/worksheets",
        f"käse,{HEAD}\n".encode("latin-1"),
        b"",
    ],
    ids=range(8),
)
def test_what_the_first_line_tells_is_said_before_the_file_is_read(
    tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "events.csv"
    path.write_bytes(content)

    with pytest.raises(DataError):
        check_start(path)


@pytest.mark.parametrize(
    "column",
    [
        pl.lit(1).alias("row"),
        pl.lit(2**100).cast(pl.Int128).alias("x"),
        pl.lit([[[[[[[[[1]]]]]]]]]).alias("x"),
        pl.lit(b"\xff").alias("x"),
        pl.lit(Decimal("19.90")).cast(pl.Decimal(38, 2)).alias("x"),
        pl.lit(NOW_MS).cast(pl.Int128).alias("ts"),
        pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC").dt.convert_time_zone("Asia/Tokyo"),
    ],
)
def test_a_column_of_parquet_takes_no_event_away(tmp_path: Path, column: Any) -> None:
    path = tmp_path / "events.parquet"
    pl.DataFrame([GOOD]).with_columns(column).write_parquet(path)

    assert_both_read(path, [GOOD])


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (pl.lit(2**70).cast(pl.Int128).alias("user_id"), "user_id"),
        (pl.lit(7.5).alias("user_id"), "user_id"),
        (pl.lit(b"u1").alias("user_id"), "user_id"),
        (pl.lit(float(NOW_MS)).alias("ts"), "ts"),
        (pl.lit(2**64 - 1, dtype=pl.UInt64).alias("ts"), "looks like nanoseconds"),
        (pl.from_epoch("ts", "ms").alias("ts"), "zone"),
    ],
)
def test_a_column_of_parquet_that_is_none_of_ours_is_refused_by_both(
    tmp_path: Path, column: Any, why: str
) -> None:
    path = tmp_path / "events.parquet"
    pl.DataFrame([GOOD]).with_columns(column).write_parquet(path)

    assert_both_refuse(path, why)


def test_the_largest_message_is_that_of_a_worker() -> None:
    assert WorkerSettings.model_fields["max_message_bytes"].default == LARGEST_BYTES
    assert MAX_DEPTH == DEEPEST
