"""`lately convert table` on files as exports, mails and workbooks leave them.

Each is read as it is meant, or refused in one line that names what it is.
"""

import gzip
import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model.errors import DataError
from tests.model.formats.test_mapped import ACTIONS, EVENTS, MAPS, ROWS, T0, command, csv_of

ONE, BOTH = csv_of(ROWS[:1]), csv_of(ROWS)
MOMENT = ROWS[0][3]


def events_of(path: Path, *options: str, maps: Sequence[str] = MAPS) -> list[dict[str, Any]]:
    out = path.parent / "new.jsonl"
    result = command("table", path, *maps, *options, "--out", out)
    assert result.exit_code == 0, result.exception or result.output
    events = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in event.items() if k != "event_id"} for event in events]


def refusal(path: Path, *options: str, maps: Sequence[str] = MAPS) -> str:
    result = command("table", path, *maps, *options, "--out", path.parent / "new.jsonl")
    assert isinstance(result.exception, DataError), result.exception or result.output
    assert "\n" not in str(result.exception) and str(result.exception).isprintable()
    return str(result.exception)


def text_alone(value: object) -> str:
    """A test's name; the bytes of archives differ from run to run."""
    return value if isinstance(value, str) else "bytes"


def zip_of(**members: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in members.items():
            archive.writestr(name.replace("__", "."), member)
    return content.getvalue()


def encrypted() -> bytes:
    content = bytearray(zip_of(log__csv=ONE.encode()))
    for start, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(start) + flags] |= 1
    return bytes(content)


TWO_FILES = ONE.encode("utf-8-sig") + BOTH.split("\n")[2].encode("utf-8-sig") + b"\n"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("LOG.CSV.GZ", gzip.compress(BOTH.encode())),
        ("log.csv", gzip.compress(BOTH.encode())),  # renamed by whoever passed it on
        ("LOG.ZIP", zip_of(log__csv=BOTH.encode())),
        ("log.zip", zip_of(a__csv=ONE.encode(), b__csv=csv_of(ROWS[1:]).encode())),
        ("log.zip", zip_of(log__csv__gz=gzip.compress(BOTH.encode()))),
        ("log.csv", BOTH.replace("\n", "\r").encode()),
        ("log.csv", f"\n \n{BOTH}".encode()),
        ("log.csv", b"sep=;\r\n" + csv_of(ROWS, ";").encode()),  # for Excel
        ("log.csv", TWO_FILES),
        ("log.csv", b"\xfe\xff" + BOTH.encode("utf-16-be")),
        ("log.csv", BOTH.encode("utf-16-le")),  # without a mark
        ("log.csv", BOTH.encode("utf-16-be")),
        ("log.csv", BOTH.encode("utf-32")),
        ("log.csv", BOTH.replace("customer_id", " customer_id ").encode()),
    ],
    ids=text_alone,
)
def test_a_file_is_read_whatever_was_done_to_it(tmp_path: Path, name: str, content: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(content)

    assert events_of(path, *ACTIONS) == EVENTS


def test_a_header_in_the_middle_is_counted_as_a_row(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(ONE.encode("utf-8-sig") + csv_of(ROWS[1:]).encode("utf-8-sig"))

    assert events_of(path, *ACTIONS) == EVENTS


def parquet() -> bytes:
    content = io.BytesIO()
    pl.DataFrame({"a": [1]}).write_parquet(content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("log.csv", b"", "is empty; name another file"),
        ("log.csv", b"\xef\xbb\xbf\r\n", "is empty; name another file"),
        ("log.csv", csv_of([]).encode(), "no row became an event; the files are empty"),
        ("log.csv", BOTH.replace("event", "événement").encode("cp1252"), "is not UTF-8, as its"),
        ("log.csv", ONE.replace("c1", "käthe").encode("latin-1"), "user_id is not UTF-8; save"),
        ("log.csv", zip_of(log__csv=b"x"), "is a zip archive or a workbook; name it .zip"),
        ("log.csv", parquet(), "is Parquet; name it .parquet"),
        ("log.csv.bz2", b"BZh91AY&SY", "is packed by bzip2; unpack it"),
        ("log.csv.zst", b"\x28\xb5\x2f\xfd\x04", "is packed by zstd; unpack it"),
        ("log.csv.gz", gzip.compress(BOTH.encode())[:-12], "cannot be read: Compressed file ended"),
        ("log.csv.gz", gzip.compress(BOTH.encode())[:-8] + b"\0" * 8, "cannot be read: CRC check"),
        ("log.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0\0\xff" + b"\xff" * 40, "cannot be read: Error -3"),
        ("log.csv.gz", BOTH.encode(), "cannot be read: Not a gzipped file"),
        ("log.zip", encrypted(), "cannot be unpacked: File 'log.csv' is encrypted"),
        ("log.zip", zip_of(a__zip=zip_of(log__csv=b"x")), "a.zip: is a zip archive or a workbook"),
        ("log.zip", zip_of(), "has no event file; found nothing"),
        ("log.json", json.dumps([{"time": 1}]).encode(), "is one array of JSON; write each object"),
        ("log.csv", BOTH.replace("amount", "sku").encode(), "has two columns sku; rename the one"),
        ("log.csv", BOTH.upper().encode(), "found CUSTOMER_ID, SKU, EVENT, TIME, AMOUNT; name"),
    ],
    ids=text_alone,
)
def test_a_file_that_is_no_table_is_named_for_what_it_is(
    tmp_path: Path, name: str, content: bytes, why: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    maps = MAPS if "amount" in content.decode("latin-1") else MAPS[:-2]

    assert why in refusal(path, *ACTIONS, maps=maps)


def test_a_folder_is_read_with_what_else_lies_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    files = {"a.csv": BOTH.encode(), "old.xlsx": zip_of(a=b""), "b.bz2": b"BZh", "c.txt": b""}
    for name, content in files.items():
        (folder / name).write_bytes(content)

    assert events_of(folder, *ACTIONS) == EVENTS


LINE = {"customer_id": "c1", "sku": "s1", "event": "view", "time": MOMENT}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (["c1"], "user_id is a list or an object"),
        ({"id": "c1"}, "user_id is a list or an object"),
        ("\ud800", "user_id is not UTF-8"),
        (None, "no user_id in the column customer_id"),
        (float("nan"), "no user_id in the column customer_id"),
    ],
)
def test_a_value_that_is_no_text_makes_no_user(tmp_path: Path, value: object, why: str) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text(json.dumps(LINE | {"customer_id": value}) + "\n", encoding="utf-8")

    assert f"1 row: {why}" in refusal(path, *ACTIONS, maps=MAPS[:-2])


@pytest.mark.parametrize("value", [pl.Series([["s1"]]), pl.Series([{"id": "s1"}])])
def test_a_nested_column_of_parquet_makes_no_item(tmp_path: Path, value: pl.Series) -> None:
    path = tmp_path / "log.parquet"
    pl.DataFrame([LINE]).with_columns(value.alias("sku")).write_parquet(path)

    assert "1 row: item_id is a list or an object" in refusal(path, *ACTIONS, maps=MAPS[:-2])


def test_bytes_of_parquet_are_text(tmp_path: Path) -> None:
    """Spark and Impala have written texts so."""
    path = tmp_path / "log.parquet"
    pl.DataFrame([LINE]).with_columns(pl.lit("käthe".encode()).alias("customer_id")).write_parquet(
        path
    )

    assert events_of(path, *ACTIONS, maps=MAPS[:-2])[0]["user_id"] == "käthe"


def test_a_line_that_nests_without_end_is_counted_and_the_next_one_read(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    deep = "[" * 100_000 + "]" * 100_000
    path.write_text(f'{{"x": {deep}}}\n{json.dumps(LINE)}\n')

    assert len(events_of(path, *ACTIONS, maps=MAPS[:-2])) == 1


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("1.234,56", 1234.56),
        ("1,234.56", 1234.56),
        ("1.234.567,8", 1_234_567.8),
        ("-3,5", -3.5),
        ("1234,567", None),  # a thousand and more, or one and a bit: nobody knows
        ("19.90 EUR", None),
        ("NaN", None),
        ("1e400", None),
    ],
)
def test_a_price_counts_if_it_can_mean_one_thing_only(
    tmp_path: Path, text: str, price: float | None
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(csv_of([(*ROWS[0][:4], text)], ";"))

    assert events_of(path, *ACTIONS)[0].get("price") == price


@pytest.mark.parametrize(
    ("time", "options", "why"),
    [
        # As milliseconds these would be 2612 and 1976.
        ("20260829120000", [], "looks like a date in digits, as %Y%m%d%H%M%S has it"),
        ("202608291200", [], "looks like a date in digits"),
        ("20260829", [], "looks like a date in digits"),
        ("46263.5", [], "looks like a workbook's number of days"),
        ("1788004800.5", [], "looks like seconds; say what it is with --time-format"),
        (f"{T0}.5", [], "has a fraction"),
        ("03/04/2026 10:00", [], "the time cannot be read"),  # March or April
        ("31/08/2026", ["--time-format", "%m/%d/%Y"], "the time does not fit %m/%d/%Y"),
        ("1e9999999", ["--time-format", "s"], "the time is no number"),
        (str(T0), ["--time-format", "s"], "the time looks like milliseconds, not seconds"),
        (str(T0 // 1000), ["--time-format", "ms"], "the time looks like seconds, not milliseconds"),
        ("0001-01-01", ["--zone", "Asia/Tokyo"], "the time is out of range"),
    ],
)
def test_a_time_that_can_mean_another_is_not_guessed(
    tmp_path: Path, time: str, options: list[str], why: str
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(csv_of([(*ROWS[0][:3], time, "")]))

    assert why in refusal(path, *ACTIONS, *options)


HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("time", "options", "ts"),
    [
        ("20260829120000", ["--time-format", "%Y%m%d%H%M%S"], T0),
        ("1788004800,5", ["--time-format", "s"], T0 + 500),
        ("1.7880048E9", ["--time-format", "s"], T0),
        ("2026-08-29t12:00:00z", [], T0),
        ("2026-08-29 12:00:00 GMT", ["--zone", "Asia/Tokyo"], T0),
        ("2026-08-29 12:00 UTC", ["--time-format", "%Y-%m-%d %H:%M UTC"], T0),
        ("29 Aug 2026 12:00", ["--time-format", "%d %b %Y %H:%M"], T0),
        # Clocks go from 2 to 3 on 29 March, which has no 2:30, and back on 25 October, with two.
        ("2026-03-29 02:30", ["--zone", "Europe/Berlin"], 1_774_747_800_000),
        ("2026-10-25 02:30", ["--zone", "Europe/Berlin"], 1_792_888_200_000),
        ("2026-10-25 02:30+01:00", ["--zone", "Europe/Berlin"], 1_792_888_200_000 + HOUR_MS),
    ],
)
def test_a_time_that_is_said_how_to_read_is_read_so(
    tmp_path: Path, time: str, options: list[str], ts: int
) -> None:
    path = tmp_path / "log.csv"
    path.write_text(csv_of([(*ROWS[0][:3], time, "")], ";"))

    assert [event["ts"] for event in events_of(path, *ACTIONS, *options)] == [ts]


def test_of_two_formats_in_a_column_one_is_read_and_the_other_counted(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(csv_of([(*ROWS[0][:3], "29.08.2026", ""), ROWS[0]]))

    result = command(
        *("table", path, *MAPS, *ACTIONS, "--time-format", "%d.%m.%Y"),
        *("--out", tmp_path / "new.jsonl", "--json"),
    )

    report = json.loads(result.stdout)
    assert (report["events"], report["rejected"]["the time does not fit %d.%m.%Y"]["rows"]) == (
        {"click": 1},
        1,
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--time-format", "%Q"], "'Q' is a bad directive"),
        (["--time-format", "%s"], "'s' is a bad directive"),
        (["--time-format", "%"], "stray %"),
        # Python would read the name of the zone and take the time for that of --zone.
        (["--time-format", "%H:%M %Z"], "%Z is not read; write the name as it stands there"),
        (["--map", "user_id=a", "--map", "user_id=b"], "user_id is given twice"),
        (["--action", "view=click", "--action", "view=buy"], "view is given twice"),
        (["--zone", "Europe"], "expected one such as Europe/Berlin"),
        (["--zone", "../../etc/passwd"], "expected one such as Europe/Berlin"),
        (["--zone", ""], "expected one such as Europe/Berlin"),
    ],
)
def test_what_cannot_be_meant_is_bad_usage(
    tmp_path: Path, options: list[str], message: str
) -> None:
    result = command("table", tmp_path / "log.csv", *options, "--out", tmp_path / "o.jsonl")

    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


@pytest.mark.parametrize(
    "options", [["--out", "log.jsonl"], ["--out", "new.csv", "--items", "new.csv"]]
)
def test_nothing_is_written_over_what_is_read_or_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("log.jsonl").write_text(json.dumps(LINE))

    result = command("table", tmp_path / "log.jsonl", *MAPS[:-2], *options)

    assert isinstance(result.exception, DataError)
    assert "is read or written, too; name another file" in str(result.exception)
    assert json.loads(Path("log.jsonl").read_text()) == LINE
