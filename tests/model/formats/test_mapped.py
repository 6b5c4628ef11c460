"""`lately convert table`: columns of any name, in files of every dialect and type."""

import gzip
import json
import zipfile
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer import Typer
from typer.testing import CliRunner, Result

from model.commands.convert import convert
from model.data.log import EventLog, read_items
from model.errors import DataError
from model.formats.mapped import UNITS

MOMENT = datetime(2026, 8, 29, 12, 0, tzinfo=UTC)
T0 = int(MOMENT.timestamp() * 1000)
NAMES = ("customer_id", "sku", "event", "time", "amount")
MAPS = [
    *("--map", "user_id=customer_id", "--map", "item_id=sku", "--map", "action=event"),
    *("--map", "ts=time", "--map", "price=amount"),
]
ACTIONS = ["--action", "view=click", "--action", "purchase=buy"]
ROWS = [
    ("c1", "s1", "view", MOMENT.isoformat(), "19.90"),
    ("c1", "s2", "purchase", MOMENT.isoformat(), ""),
]
EVENTS = [
    {"user_id": "c1", "item_id": "s1", "action": "click", "ts": T0, "price": 19.9},
    {"user_id": "c1", "item_id": "s2", "action": "buy", "ts": T0},
]


def csv_of(rows: Sequence[tuple[str, ...]], separator: str = ",") -> str:
    return "".join(separator.join(row) + "\n" for row in [NAMES, *rows])


def command(*words: object) -> Result:
    app = Typer(pretty_exceptions_enable=False)
    app.command()(convert)
    return CliRunner().invoke(app, [str(word) for word in words])


def converted(path: Path, *options: str) -> list[dict[str, Any]]:
    out = path.with_name("out.jsonl")
    result = command("table", path, *MAPS, *options, "--out", out)
    assert result.exit_code == 0, result.exception or result.output
    events = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in event.items() if k != "event_id"} for event in events]


def plain(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8")


def marked(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-8-sig")


def utf_16(path: Path, content: str) -> None:
    path.write_text(content, encoding="utf-16")


def gzipped(path: Path, content: str) -> None:
    path.write_bytes(gzip.compress(content.encode()))


def zipped(path: Path, content: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("inner/export.csv", content)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("log.csv", plain),
        ("log.txt", marked),
        ("log.csv", utf_16),
        ("log.csv.gz", gzipped),
        ("log.zip", zipped),
    ],
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_a_csv_of_every_dialect_gives_the_same_events(
    tmp_path: Path, name: str, write: Callable[[Path, str], None], separator: str
) -> None:
    path = tmp_path / name
    write(path, csv_of(ROWS, separator))

    assert converted(path, *ACTIONS) == EVENTS


def test_quotes_spaces_and_line_ends_of_a_spreadsheet_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(
        b'"customer_id"; "sku" ;event;time;amount\r\n'
        b'c1;"s""1\nx";view;2026-08-29T12:00:00Z;"19,90"\r\n\r\n'
    )

    (event,) = converted(path, *ACTIONS)

    assert (event["item_id"], event["price"]) == ('s"1\nx', 19.9)


def test_lines_of_json_are_a_table_too(tmp_path: Path) -> None:
    path = tmp_path / "log.ndjson"
    lines: list[dict[str, Any]] = [dict(zip(NAMES, row, strict=True)) for row in ROWS]
    lines += [lines[0] | {"customer_id": 7, "amount": None}]
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines) + "[1]\n")

    assert converted(path, *ACTIONS) == [*EVENTS, EVENTS[1] | {"user_id": "7"} | JUST_A_CLICK]


JUST_A_CLICK = {"action": "click", "item_id": "s1"}


@pytest.mark.parametrize(
    ("column", "values", "expected"),
    [
        ("customer_id", pl.Series([7, 7], dtype=pl.UInt32), {"user_id": "7"}),
        ("customer_id", pl.Series([7.0, None]), {"user_id": "7"}),  # pandas, for the gap
        ("sku", pl.Series([Decimal("12.00")] * 2), {"item_id": "12"}),
        ("sku", pl.Series(["s9"] * 2, dtype=pl.Categorical), {"item_id": "s9"}),
        ("amount", pl.Series([Decimal("19.90")] * 2), {"price": 19.9}),
        ("amount", pl.Series([19.9, float("nan")]), {"price": 19.9}),
        ("time", pl.Series([MOMENT] * 2, dtype=pl.Datetime("ns", "UTC")), {"ts": T0}),
        ("time", pl.Series([MOMENT.replace(tzinfo=None)] * 2), {"ts": T0}),
        ("time", pl.Series([T0] * 2), {"ts": T0}),
    ],
)
def test_every_type_of_parquet_that_can_be_meant_is_read(
    tmp_path: Path, column: str, values: pl.Series, expected: dict[str, Any]
) -> None:
    path = tmp_path / "log.parquet"
    table = pl.DataFrame([dict(zip(NAMES, row, strict=True)) for row in ROWS])
    table.with_columns(values.alias(column)).write_parquet(path)

    assert converted(path, *ACTIONS)[0] == EVENTS[0] | expected


PER_S = {"seconds": 1, "milliseconds": 10**3, "microseconds": 10**6, "nanoseconds": 10**9}


@pytest.mark.parametrize(("unit", "named"), UNITS.items())
def test_a_time_counts_in_the_unit_that_is_named(tmp_path: Path, unit: str, named: str) -> None:
    path = tmp_path / "log.csv"
    plain(path, csv_of([("c1", "s1", "view", str(T0 // 1000 * PER_S[named]), "")]))

    assert [event["ts"] for event in converted(path, *ACTIONS, "--time-format", unit)] == [T0]


@pytest.mark.parametrize(
    ("time", "unit", "why"),
    [
        (str(T0), "s", "the time looks like milliseconds, not seconds"),
        (str(T0), "ns", "the time looks like milliseconds, not nanoseconds"),
        (str(T0 // 1000), "ms", "the time looks like seconds, not milliseconds"),
        (f"{T0 / 1000:.2f}", "us", "the time looks like seconds, not microseconds"),
        (str(T0 * 10**6), "us", "the time looks like nanoseconds, not microseconds"),
        ("99999999", "s", "the time is out of range"),  # before 3 March 1973, as everywhere
        (str(-T0), "ms", "the time is out of range"),
        ("1e400", "s", "the time is no number"),
        (f"{T0 / 1000:.2f}", "", "the time looks like seconds; say what it is with --time-format"),
        (f"{T0}.5", "", "the time has a fraction; say what it is with --time-format"),
    ],
)
def test_a_time_that_is_not_of_the_unit_is_said_to_be_of_the_one_it_looks_like(
    tmp_path: Path, time: str, unit: str, why: str
) -> None:
    """Of the number in the file, not of what it would be after the conversion."""
    path, out = tmp_path / "log.csv", tmp_path / "out.jsonl"
    plain(path, csv_of([("c1", "s1", "view", time, ""), ROWS[0]]))
    options = ["--time-format", unit] if unit else []

    result = command("table", path, *MAPS, *ACTIONS, *options, "--out", out, "--json")

    reasons = (
        json.loads(result.stdout)["rejected"] if result.exit_code == 0 else str(result.exception)
    )
    assert why in reasons


@pytest.mark.parametrize(
    ("time", "options", "ts"),
    [
        (str(T0), [], T0),
        (f"{T0}.0", [], T0),  # as pandas writes a column with gaps
        (f"{T0 / 1000:.3f}", ["--time-format", "s"], T0),  # Python's time.time()
        ("2026-08-29 12:00:00 UTC", [], T0),
        ("2026-08-29T14:00:00+02:00", [], T0),
        ("2026-08-29 14:00", ["--zone", "Europe/Berlin"], T0),  # summer: two hours ahead
        ("2026-08-29", [], T0 - 12 * 3_600_000),
        ("29.08.2026 14:00", ["--time-format", "%d.%m.%Y %H:%M", "--zone", "Europe/Berlin"], T0),
        ("08/29/2026 12:00 PM", ["--time-format", "%m/%d/%Y %I:%M %p"], T0),
        ("2026-08-29T14:00:00+0200", ["--time-format", "%Y-%m-%dT%H:%M:%S%z"], T0),
    ],
)
def test_dates_are_read_as_they_are_written(
    tmp_path: Path, time: str, options: list[str], ts: int
) -> None:
    path = tmp_path / "log.csv"
    plain(path, csv_of([("c1", "s1", "view", time, "")]))

    assert [event["ts"] for event in converted(path, *ACTIONS, *options)] == [ts]


def test_rows_that_are_no_events_are_counted_with_the_first_and_the_others_go_on(
    tmp_path: Path,
) -> None:
    path, out = tmp_path / "log.csv", tmp_path / "out.jsonl"
    moment = MOMENT.isoformat()
    bad = [
        ("", "s1", "view", moment, ""),
        ("c1", "s1", "wish", moment, ""),
        ("c2", "s1", "wish", moment, ""),
        ("c1", "s1", "view", "1788001910", ""),
        ("c1", "s1", "view", "soon", ""),
        ("c1", "s1"),
        ("u" * 257, "s1", "view", moment, ""),
    ]
    plain(path, csv_of([ROWS[0], *bad, ROWS[1], ROWS[1]]))

    result = command("table", path, *MAPS, *ACTIONS, "--out", out, "--json")

    report = json.loads(result.stdout)
    assert (report["rows"], report["events"]) == (10, {"click": 1, "buy": 1})
    assert {why: (e["rows"], e["first"]) for why, e in report["rejected"].items()} == {
        "no user_id in the column customer_id": (1, "log.csv row 2"),
        "no --action says what 'wish' is": (2, "log.csv row 3"),
        "the time looks like seconds; say what it is with --time-format": (1, "log.csv row 5"),
        "the time cannot be read": (1, "log.csv row 6"),
        "the row has too few or too many columns": (1, "log.csv row 7"),
        "no user id of 1 to 256 characters": (1, "log.csv row 8"),
        "a duplicate of another row": (1, f"user c1, item s2, {T0} ms"),
    }


def test_a_log_of_one_kind_of_action_needs_no_column_of_actions(tmp_path: Path) -> None:
    path, out = tmp_path / "views.csv", tmp_path / "out.jsonl"
    path.write_text(f"user_id,sku,ts\nu,s1,{T0}\n")

    result = command("table", path, "--map", "item_id=sku", "--action", "click", "--out", out)

    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["action"] == "click"


def test_names_of_actions_stay_where_none_is_given(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    plain(path, csv_of(ROWS))

    assert [event["action"] for event in converted(path)] == ["view", "purchase"]


def test_a_table_gives_an_item_list_and_a_log_that_train_reads(tmp_path: Path) -> None:
    path, out, items = (tmp_path / name for name in ("log.csv", "out.csv", "items.csv"))
    path.write_text(f"user_id,item_id,action,ts,name,category\nu,i1,click,{T0},Red,shoes\n")

    result = command("table", path, "--map", "title=name", "--out", out, "--items", items)

    assert result.exit_code == 0, result.output
    assert EventLog.open([out]).rows == 1
    assert read_items(items)["i1"][:3] == ("i1", "shoes", "Red")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--map", "user=customer_id"], "--map user: expected one of user_id, item_id"),
        (["--map", "user_id"], "'user_id': expected --map FIELD=COLUMN"),
        (["--action", "click", "--action", "a=b"], "is every row's"),
        (["--time-format", "unix"], "expected s, seconds, ms"),
        (["--zone", "Mars/Base"], "expected one such as Europe/Berlin"),
    ],
)
def test_what_a_table_cannot_be_told_is_bad_usage(
    tmp_path: Path, options: list[str], message: str
) -> None:
    result = command("table", tmp_path / "log.csv", *options, "--out", tmp_path / "o.jsonl")

    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())


def test_options_of_the_table_are_refused_for_a_public_set(tmp_path: Path) -> None:
    words = ("otto", tmp_path / "log.csv", "--map", "user_id=x", "--out", tmp_path / "o.jsonl")

    assert command(*words).exit_code == 2


def test_a_column_that_is_not_there_is_named_with_those_found(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    plain(path, csv_of(ROWS))

    result = command("table", path, "--map", "user_id=cust", "--out", tmp_path / "o.jsonl")

    assert isinstance(result.exception, DataError)
    assert "no column cust, item_id, action, ts; found customer_id, sku, event, time, amount; " in (
        str(result.exception)
    )
    assert "--map FIELD=COLUMN" in str(result.exception)
