import json
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer import BadParameter, Typer
from typer.testing import CliRunner, Result

from model.commands.convert import convert, run
from model.data.log import EventLog, read_items
from model.errors import DataError
from model.formats.report import ConversionReport
from model.formats.span import Span, moment_ms

T0 = 1_700_000_000_000  # 2023-11-14T22:13:20Z; all times are milliseconds after it
HEADER = "timestamp,visitorid,event,itemid,transactionid\n"


@pytest.fixture
def rocket(tmp_path: Path) -> Path:
    """Rows out of order, one of them repeated, one cut off, one with an unknown action."""
    path = tmp_path / "events.csv"
    path.write_text(
        HEADER
        + f"{T0 + 3000},u1,view,i1,\n{T0 + 1000},u1,view,i1,\n{T0 + 2000},u2,transaction,i2,9\n"
        f"{T0 + 1000},u1,view,i1,\n{T0 + 1000},u2,view,i1,\n{T0 + 4000},u1\n"
        f"{T0 + 5000},u1,wish,i1,\n",
        encoding="utf-8",
    )
    return path


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def command(*arguments: object) -> Result:
    app = Typer()
    app.command()(convert)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_events_are_sorted_by_time_and_every_row_is_counted(rocket: Path, tmp_path: Path) -> None:
    report = run("retailrocket", [rocket], tmp_path / "out.jsonl")

    events = lines_of(tmp_path / "out.jsonl")
    assert [(e["ts"], e["user_id"]) for e in events] == [
        (T0 + 1000, "u1"),
        (T0 + 1000, "u2"),
        (T0 + 2000, "u2"),
        (T0 + 3000, "u1"),
    ]
    assert report.rows == 7 == report.events.total() + report.rejected.total()
    assert report.rejected == {
        "a duplicate of another row": 1,
        "the row has too few or too many columns": 1,
        "the event is none of view, addtocart, transaction": 1,
    }
    assert report.first["the row has too few or too many columns"] == "events.csv row 6"


def test_a_second_run_writes_the_same_bytes(rocket: Path, tmp_path: Path) -> None:
    run("retailrocket", [rocket], tmp_path / "1.jsonl")
    run("retailrocket", [rocket], tmp_path / "2.jsonl")

    assert (tmp_path / "1.jsonl").read_bytes() == (tmp_path / "2.jsonl").read_bytes()


def test_every_output_format_holds_the_same_events(rocket: Path, tmp_path: Path) -> None:
    logs = []
    for kind in ("jsonl", "csv", "parquet"):
        run("retailrocket", [rocket], tmp_path / f"out.{kind}")
        logs.append(EventLog.open([tmp_path / f"out.{kind}"]).frame.collect().to_dicts())

    assert logs[0] == logs[1] == logs[2]
    assert len(logs[0]) == 4
    assert pl.read_parquet_schema(tmp_path / "out.parquet")["ts"] == pl.Int64
    assert {path.name for path in tmp_path.iterdir()} == {
        "events.csv",
        "out.jsonl",
        "out.csv",
        "out.parquet",
    }


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
def test_items_are_written_for_training(rocket: Path, tmp_path: Path, kind: str) -> None:
    properties = tmp_path / "item_properties.csv"
    properties.write_text(
        "timestamp,itemid,property,value\n1,i1,categoryid,7\n1,i2,790,x\n", encoding="utf-8"
    )

    run("retailrocket", [rocket, properties], tmp_path / "out.jsonl", tmp_path / f"items.{kind}")

    assert read_items(tmp_path / f"items.{kind}")["i1"].category == "7"


def test_ids_that_are_too_long_or_not_utf_8_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    rows = [f"{T0},{'u' * 256},view,i1,", f"{T0},{'u' * 257},view,i1,"]
    rows += [f"{T0},u,view,,", "1,u,view,i,"]
    path.write_bytes((HEADER + "\n".join(rows)).encode() + b"\n%d,u\xff,view,i1,\n" % T0)

    report = run("retailrocket", [path], tmp_path / "out.jsonl")

    assert report.events.total() == 1
    assert report.rejected == {
        "no user id of 1 to 256 characters": 1,
        "user_id is not UTF-8; save the file as UTF-8": 1,
        "no item id of 1 to 256 characters": 1,
        "the time is out of range": 1,
    }


def test_adjacent_spans_split_the_log_without_overlap(rocket: Path, tmp_path: Path) -> None:
    run("retailrocket", [rocket], tmp_path / "whole.jsonl")

    before = run("retailrocket", [rocket], tmp_path / "before.jsonl", span=Span(until_ms=T0 + 2000))
    after = run("retailrocket", [rocket], tmp_path / "after.jsonl", span=Span(since_ms=T0 + 2000))

    first, second = lines_of(tmp_path / "before.jsonl"), lines_of(tmp_path / "after.jsonl")
    assert [event["ts"] for event in first] == [T0 + 1000, T0 + 1000]
    assert [event["ts"] for event in second] == [T0 + 2000, T0 + 3000]
    assert first + second == lines_of(tmp_path / "whole.jsonl")
    assert before.rejected["not before the time of --until"] == 2
    assert after.rejected["before the time of --since"] == 3  # one of them repeated
    for report in (before, after):
        assert report.rows == 7 == report.events.total() + report.rejected.total()


def test_the_command_accepts_a_span_in_any_zone(rocket: Path, tmp_path: Path) -> None:
    out = tmp_path / "o.jsonl"
    since, until = "2023-11-15T06:13:22+08:00", "2023-11-14T22:13:23Z"

    result = command("retailrocket", rocket, "--out", out, "--since", since, "--until", until)

    assert result.exit_code == 0
    assert [event["ts"] for event in lines_of(out)] == [T0 + 2000]


@pytest.mark.parametrize("time", ["2018-03-03T10:00:00", "2018-03-03", "yesterday", "1520042400"])
def test_a_span_needs_a_time_with_a_zone(rocket: Path, tmp_path: Path, time: str) -> None:
    result = command("retailrocket", rocket, "--out", tmp_path / "o.jsonl", "--until", time)

    assert result.exit_code == 2
    assert not (tmp_path / "o.jsonl").exists()
    with pytest.raises(BadParameter, match=f"'{time}': expected ISO 8601 with a zone"):
        moment_ms(time)


def test_a_span_without_events_fails_with_the_number_of_rows_outside_it(
    rocket: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="5 rows: before the time of --since"):
        run("retailrocket", [rocket], tmp_path / "o.jsonl", span=Span(since_ms=T0 + 9000))


def test_the_report_is_aligned() -> None:
    report = ConversionReport(rows=1_234)
    report.events["click"] = 1_233
    report.reject("the row is broken", "a.csv row 7")
    report.skipped.append("README.md")

    assert report.lines() == [
        "rows read                        1,234",
        "  click events                   1,233",
        "  not mapped: the row is broken      1  first: a.csv row 7",
        "not read: README.md is not a file of this format",
    ]


def test_the_command_prints_the_report(rocket: Path, tmp_path: Path) -> None:
    result = command("retailrocket", rocket, "--out", tmp_path / "o.jsonl")
    assert result.exit_code == 0
    assert "click events" in result.stdout

    result = command("retailrocket", rocket, "--out", tmp_path / "o.jsonl", "--json")
    assert json.loads(result.stdout)["rejected"]["a duplicate of another row"]["rows"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("rocket", "events.csv", "--out", "o.jsonl"), 2, "choose one of jdata"),
        (("retailrocket", "events.csv", "--out", "o.xlsx"), 2, "--out"),
        (("retailrocket", "events.csv", "--out", "o.csv", "--items", "i"), 2, "--items"),
        (("retailrocket", "events.csv"), 2, "--out"),
        (("retailrocket", "no.csv", "--out", "o.jsonl"), 1, "no such file or folder"),
        (("otto", "events.csv", "--out", "o.jsonl"), 1, "is not a file of this format"),
        (("otto", "folder", "--out", "o.jsonl"), 1, "has no event file"),
        (("retailrocket", "events.csv", "--out", "no/o.jsonl"), 1, "cannot be written"),
        (
            ("retailrocket", "events.csv", "--out", "o.jsonl", "--items", "i.csv"),
            1,
            "has no data on items",
        ),
        (("retailrocket", "empty.csv", "--out", "o.jsonl"), 1, "no row became an event"),
        (("retailrocket", "broken.csv.gz", "--out", "o.jsonl"), 1, "cannot be read"),
    ],
)
def test_a_failed_conversion_prints_one_line_and_leaves_no_file(
    rocket: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    message: str,
) -> None:
    folder = rocket.parent
    monkeypatch.chdir(folder)
    (folder / "empty.csv").write_text(HEADER + "1,u,wish,i,\n", encoding="utf-8")
    (folder / "broken.csv.gz").write_bytes(b"\x1f\x8b\x08no gzip")
    (folder / "folder").mkdir()
    (folder / "folder" / "photo.png").write_bytes(b"\x89PNG" + bytes(100))
    before = set(folder.iterdir())

    result = command(*arguments)

    assert result.exit_code == code
    line = str(result.exception) if isinstance(result.exception, DataError) else result.stderr
    assert message in line
    assert code == 2 or "\n" not in line
    assert set(folder.iterdir()) == before


def test_parquet_without_polars_names_the_extra(
    rocket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "polars", None)

    with pytest.raises(DataError, match=r"run `make setup`.*, or write .jsonl"):
        run("retailrocket", [rocket], tmp_path / "out.parquet")
