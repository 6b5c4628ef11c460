import json
from itertools import islice
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model.data.log import EventLog, Item, fingerprint, read_items
from model.data.row import COLUMNS
from model.errors import DataError
from model.synthetic.shop import Shop

T0 = 1_700_000_000_000  # all times are milliseconds after it
EVENT = {"user_id": "u1", "item_id": "i1", "action": "click", "ts": T0 + 1000}


def written(path: Path, *events: dict[str, Any] | str) -> Path:
    lines = (event if isinstance(event, str) else json.dumps(event) for event in events)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def events_in(log: EventLog) -> list[dict[str, Any]]:
    return log.frame.collect().to_dicts()


@pytest.fixture
def jsonl(tmp_path: Path) -> Path:
    return tmp_path / "events.jsonl"


def test_every_file_type_gives_the_same_events(tmp_path: Path) -> None:
    events = list(islice(Shop(seed=1).events(50, start_ms=T0), 500))
    jsonl = written(tmp_path / "a.jsonl", *events)
    table = pl.DataFrame(events, infer_schema_length=None)
    table.write_csv(tmp_path / "a.csv")
    table.write_parquet(tmp_path / "a.parquet")

    read = [events_in(EventLog.open([tmp_path / f"a.{kind}"])) for kind in ("csv", "parquet")]

    assert read[0] == read[1] == events_in(EventLog.open([jsonl]))
    assert len(read[0]) == 500
    assert list(read[0][0]) == list(COLUMNS)


def test_rows_are_sorted_by_user_and_time(jsonl: Path) -> None:
    written(
        jsonl,
        EVENT | {"user_id": "u2", "ts": T0 + 5},
        EVENT | {"ts": T0 + 20},
        EVENT | {"ts": T0 + 10, "item_id": "z"},
        EVENT | {"ts": T0 + 10, "item_id": "a"},  # equal times keep the order of the file
    )

    log = EventLog.open([jsonl])

    assert [(e["user_id"], e["ts"], e["item_id"]) for e in events_in(log)] == [
        ("u1", T0 + 10, "z"),
        ("u1", T0 + 10, "a"),
        ("u1", T0 + 20, "i1"),
        ("u2", T0 + 5, "i1"),
    ]


def test_several_files_are_one_log(tmp_path: Path) -> None:
    first = written(tmp_path / "1.jsonl", EVENT | {"ts": T0 + 2})
    second = tmp_path / "2.csv"
    second.write_text(
        f"ts,action,item_id,user_id,colour\n{T0 + 1},buy,i9,u1,red\n", encoding="utf-8"
    )

    assert [e["item_id"] for e in events_in(EventLog.open([first, second]))] == ["i9", "i1"]


@pytest.mark.parametrize(
    ("found", "ms"),
    [
        (T0 + 1500, T0 + 1500),
        (str(T0 + 1500), T0 + 1500),
        ("1970-01-01T00:00:01.5Z", 1500),
        ("1970-01-01T01:00:01.500+01:00", 1500),
        ("1970-01-01 00:00:01.500999+00:00", 1500),  # truncated, not rounded
        ("19700101T000001Z", 1000),
        ("2038-01-19T03:14:07.999Z", 2**31 * 1000 - 1),
    ],
)
def test_times_are_milliseconds_or_iso_8601(jsonl: Path, found: int | str, ms: int) -> None:
    # After another time, as Polars assumes that all times have the format of the first.
    written(jsonl, EVENT | {"ts": "1970-01-01T00:00:00Z"}, EVENT | {"ts": found})

    assert events_in(EventLog.open([jsonl]))[1]["ts"] == ms


def test_parquet_times_need_a_zone(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    rows = pl.DataFrame([EVENT]).with_columns(pl.from_epoch("ts", "ms").dt.replace_time_zone("UTC"))
    rows.write_parquet(path)
    assert events_in(EventLog.open([path]))[0]["ts"] == T0 + 1000

    rows.with_columns(pl.col("ts").dt.replace_time_zone(None)).write_parquet(path)
    with pytest.raises(DataError, match="have no zone"):
        EventLog.open([path])


def test_numeric_ids_and_invalid_prices_are_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(
        "user_id,item_id,action,ts,price,quantity\n"
        f"007,12,buy,{T0},NaN,2\n007,12,buy,{T0},free,\n007,12,buy,{T0},1.5,\n",
        encoding="utf-8",
    )

    events = events_in(EventLog.open([path]))

    assert [event["price"] for event in events] == [None, None, 1.5]
    assert [event["quantity"] for event in events] == [2.0, None, None]
    assert {event["user_id"] for event in events} == {"007"}


def test_duplicates_are_dropped_and_counted(jsonl: Path) -> None:
    written(
        jsonl,
        EVENT | {"event_id": "e1"},
        EVENT | {"event_id": "e1", "ts": T0 + 2000},  # the same id: the first one is kept
        EVENT | {"event_id": "e1", "user_id": "u2"},  # another user's id
        EVENT | {"event_id": "e2"},
        EVENT,
        EVENT,  # no id, but equal in every column
        EVENT | {"price": 1},
    )

    log = EventLog.open([jsonl])

    assert (log.rows, log.duplicates) == (7, 2)
    assert [(e["event_id"], e["ts"]) for e in events_in(log)] == [
        ("e1", T0 + 1000),
        ("e2", T0 + 1000),
        (None, T0 + 1000),
        (None, T0 + 1000),
        ("e1", T0 + 1000),
    ]


def test_the_first_of_many_duplicates_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "events.parquet"
    n = 200_000
    rows = pl.DataFrame({"n": range(n)}).select(
        user_id=pl.lit("u"),
        item_id=pl.col("n").cast(pl.String),
        action=pl.lit("click"),
        ts=pl.col("n") + T0,
        event_id=(pl.col("n") % 100).cast(pl.String),
    )
    rows.write_parquet(path, row_group_size=10_000)

    log = EventLog.open([path])

    assert log.duplicates == n - 100
    kept = log.frame.select("item_id").collect(engine="streaming")["item_id"].to_list()
    assert kept == [str(number) for number in range(100)]


def test_events_of_forgotten_users_are_left_out(jsonl: Path) -> None:
    written(
        jsonl,
        EVENT | {"ts": T0 + 1},
        {"user_id": "u1", "action": "forget", "ts": T0 + 2},
        EVENT | {"ts": T0 + 3},
        EVENT | {"user_id": "u2"},
        {"user_id": "u2", "action": "forget"},
        EVENT | {"user_id": "u3"},
    )

    log = EventLog.open([jsonl])

    assert log.forgotten == 2
    assert [(e["user_id"], e["ts"]) for e in events_in(log)] == [("u1", T0 + 3), ("u3", T0 + 1000)]


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        ({"ts": "yesterday"}, "1 of 2 rows, first row 2, have no readable time .* 'yesterday'"),
        ({"ts": "2020-01-01T00:00:00"}, "00:00', an ISO 8601 time needs a zone, as in 2026"),
        ({"ts": "2020-01-01"}, "'2020-01-01', not an ISO 8601 time; expected"),
        ({"ts": 1.5}, r"line 2: .* 1\.5, which is outside .* ms; expected integer milliseconds"),
        ({"ts": 1_790_000_000_000.0}, r"line 2: .* 1790000000000\.0, which is no integer;"),
        ({"ts": True}, "line 2: no readable time in ts: True, which is no integer"),
        ({"ts": -1}, "'-1'"),
        ({"ts": 1788001910}, "'1788001910', which looks like seconds; expected integer milli"),
        ({"ts": 1788001910.5}, "line 2: .* 1788001910.5, which looks like seconds"),
        ({"ts": "1788001910.5"}, "'1788001910.5', which looks like seconds"),
        ({"ts": 1788001910348000}, "which looks like microseconds"),
        ({"ts": 1788001910348000000}, "which looks like nanoseconds"),
        ({"ts": None}, "have no ts"),
        ({"user_id": ""}, "have no user_id"),
        ({"item_id": None}, "have no item_id"),
        ({"action": ""}, "have no action"),
    ],
)
def test_the_first_bad_row_is_reported(jsonl: Path, broken: dict[str, Any], message: str) -> None:
    written(jsonl, EVENT, EVENT | broken)

    with pytest.raises(DataError, match=message) as caught:
        EventLog.open([jsonl])
    assert "\n" not in str(caught.value)
    assert str(jsonl) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", "", "the file is empty"),
        ("a.jsonl", "\n\n", "the log is empty"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", "user_id,item_id,action,ts\n", "the log is empty"),
        ("a.csv", "user,item_id,action\n1,1,1\n", "no column user_id, ts; .* `lately convert`"),
        ("a.jsonl", '{"user": 1}\n', "no row has action"),
        ("a.jsonl", '{"action": "forget", "user_id": "u"}\n', "every event of the log is to be"),
        ("a.jsonl", f"{json.dumps(EVENT)}\nnot json\n", ", line 2: cannot be read"),
        ("a.parquet", "PAR?", "cannot be read"),
        ("a.xlsx", "x", "expected one of .jsonl"),
        (None, "", "no such file"),
    ],
)
def test_a_bad_file_is_rejected_in_one_line(
    tmp_path: Path, name: str | None, content: str, message: str
) -> None:
    path = tmp_path / (name or "missing.jsonl")
    if name:
        path.write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=message) as caught:
        EventLog.open([path])
    assert "\n" not in str(caught.value)


def test_the_fingerprint_changes_with_one_byte(jsonl: Path) -> None:
    before = fingerprint([written(jsonl, EVENT)])
    assert EventLog.open([jsonl]).fingerprint == before
    assert fingerprint([written(jsonl, EVENT | {"ts": T0 + 1001})]) != before


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.csv", 'item_id,category,title\ni1,shoes,"Trail runner, red"\n7,,\n'),
        ("items.tsv", "title\titem_id\tcategory\nTrail runner, red\ti1\tshoes\n\t7\t\n"),
        (
            "items.jsonl",
            (
                '{"item_id": "i1", "category": "shoes", "title": "Trail runner, red"}\n'
                '{"item_id": 7}\n'
            ),
        ),
    ],
)
def test_items_are_read_in_order(tmp_path: Path, name: str, content: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")

    assert list(read_items(path).values()) == [
        Item("i1", "shoes", "Trail runner, red"),
        Item("7", None, None),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("items.csv", "item_id,category,title\ni1,shoes,Red\n"),
        ("items.jsonl", '{"item_id": "i1", "category": "shoes", "title": "Red"}\n'),
    ],
)
def test_a_byte_order_mark_of_an_item_file_is_skipped(
    tmp_path: Path, name: str, content: str
) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8-sig")

    assert read_items(path) == {"i1": Item("i1", "shoes", "Red")}


def test_a_gap_that_pandas_writes_as_nan_is_no_category(tmp_path: Path) -> None:
    lines, table = tmp_path / "items.jsonl", tmp_path / "items.parquet"
    lines.write_text('{"item_id": "i1", "category": NaN, "title": "Red"}\n', encoding="utf-8")
    pl.DataFrame({"item_id": ["i1"], "category": [float("nan")], "title": ["Red"]}).write_parquet(
        table
    )

    assert read_items(lines) == read_items(table) == {"i1": Item("i1", None, "Red")}


def test_whole_numbers_beside_a_gap_are_the_ids_of_the_log(tmp_path: Path) -> None:
    path = tmp_path / "items.parquet"
    pl.DataFrame({"item_id": [7.0, 8.0], "category": [3.0, None]}).write_parquet(path)

    assert [item[:2] for item in read_items(path).values()] == [("7", "3"), ("8", None)]


def test_an_item_file_in_utf_16_is_refused_as_such(tmp_path: Path) -> None:
    path = tmp_path / "items.csv"
    path.write_text("item_id\ni1\n", encoding="utf-16")

    with pytest.raises(DataError, match="is UTF-16; save it as UTF-8"):
        read_items(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("items.csv", "item_id,category,title\n,shoes,x\n", "row 1 has no item_id"),
        ("items.csv", "item_id\ni1\ni1\n", "row 2 repeats item i1"),
        ("items.csv", "item_id;category\ni1;c\n", "separated by semicolons; write commas"),
        ("items.tsv", "item_id,category\ni1,c\n", "separated by commas; write"),
        ("items.csv", "sku,category\ni1,c\n", "no column item_id; found sku, category; expected"),
        ("items.jsonl", '{"item_id": 1.5}\n', "row 1: item_id is 1.5, expected a text or an int"),
        ("items.csv", "", "no items"),
        ("items.jsonl", "[1]\n", "not a JSON object"),
        ("items.jsonl", '{"item_id": "i"}\n{\n', "cannot be read: line 2: "),
        ("items.parquet", "PAR?", "cannot be read"),
        ("items.txt", "i1", "is not one of"),
    ],
)
def test_a_bad_item_file_is_rejected(tmp_path: Path, name: str, content: str, message: str) -> None:
    path = tmp_path / name
    path.write_text(content, encoding="utf-8")

    with pytest.raises(DataError, match=message):
        read_items(path)
