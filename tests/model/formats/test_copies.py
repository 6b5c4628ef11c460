"""Copies of public data sets: other headers, kinds of files, archives; and what is refused."""

import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from model.commands.convert import run
from model.errors import DataError


def events_of(name: str, path: Path) -> list[dict[str, Any]]:
    out = path.with_name("out.jsonl")
    run(name, [path], out)
    events = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    return [{k: v for k, v in event.items() if k != "event_id"} for event in events]


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


INVOICE = "536365,85123A,HEART,6,2010-12-01 08:26:00,2.55,{customer},United Kingdom\n"
FIRST = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
SECOND = "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country\n"


@pytest.mark.parametrize("header", [FIRST, SECOND])
@pytest.mark.parametrize("customer", ["17850", "17850.0"])
def test_both_versions_of_online_retail_are_read(
    tmp_path: Path, header: str, customer: str
) -> None:
    path = written(tmp_path, "retail.csv", header + INVOICE.format(customer=customer))

    (event,) = events_of("online-retail", path)

    assert (event["user_id"], event["item_id"], event["price"]) == ("17850", "85123A", 2.55)


def test_a_third_version_is_refused_by_the_column_that_is_missing(tmp_path: Path) -> None:
    path = written(tmp_path, "retail.csv", SECOND.replace("Customer ID", "Client"))

    with pytest.raises(DataError) as refused:
        run("online-retail", [path], tmp_path / "out.jsonl")
    message = str(refused.value)
    assert "no column CustomerID; found Invoice, StockCode, Description, Quantity" in message
    assert "InvoiceNo" not in message  # it is there, as Invoice


CLICK: dict[str, Any] = {"user_id": "7", "item_id": "9", "action": "click", "ts": 1_511_544_070_000}


@pytest.mark.parametrize(
    "header",
    [
        "",
        "user_id,item_id,category_id,behavior,timestamp\n",
        "User ID,Item ID,Category ID,Behavior type,Timestamp\n",
    ],
)
def test_taobao_has_seconds_and_no_header_or_one(tmp_path: Path, header: str) -> None:
    rows = "7,9,3,pv,1511544070\n7,9,3,fav,1511544071\n7,9,3,buy,1511544072\n8,9,3,cart,-18\n"

    events = events_of("taobao", written(tmp_path, "UserBehavior.csv", header + rows))

    click = CLICK | {"category": "3"}
    assert events == [click, click | {"action": "buy", "ts": CLICK["ts"] + 2000}]


AT_S = 1_511_544_070


@pytest.mark.parametrize(
    ("name", "row", "time", "why"),
    [
        ("taobao", "7,9,3,pv,{}", AT_S * 1000, "the time looks like milliseconds, not seconds"),
        ("taobao", "7,9,3,pv,{}", 99_999_999, "the time is out of range"),
        (
            "personalize",
            "USER_ID,ITEM_ID,TIMESTAMP\n7,9,{}",
            AT_S * 1000,
            "the time looks like milliseconds, not seconds",
        ),
        (
            "retailrocket",
            "timestamp,visitorid,event,itemid\n{},7,view,9",
            AT_S,
            "the time looks like seconds, not milliseconds",
        ),
        (
            "retailrocket",
            "timestamp,visitorid,event,itemid\n{},7,view,9",
            AT_S * 10**6,
            "the time looks like microseconds, not milliseconds",
        ),
    ],
)
def test_a_copy_in_another_unit_is_told_the_unit_of_the_file(
    tmp_path: Path, name: str, row: str, time: int, why: str
) -> None:
    with pytest.raises(DataError, match=why):
        events_of(name, written(tmp_path, "copy.csv", row.format(time) + "\n"))


@pytest.mark.parametrize(
    "header",
    ["USER_ID,ITEM_ID,EVENT_TYPE,TIMESTAMP", "user_id,item_id,event_type,timestamp"],
)
def test_personalize_interactions_have_seconds_and_types_of_events(
    tmp_path: Path, header: str
) -> None:
    # The second time as pandas writes a column with gaps.
    rows = "7,9,View,1511544070\n7,9,AddToCart,1511544071.0\n7,9,Purchase,1511544072\n7,9,Watch,1\n"

    events = events_of("personalize", written(tmp_path, "interactions.csv", f"{header}\n{rows}"))

    assert [event["action"] for event in events] == ["click", "cart", "buy"]
    assert events[0] == CLICK


def test_personalize_interactions_without_a_type_are_clicks(tmp_path: Path) -> None:
    content = "USER_ID,ITEM_ID,TIMESTAMP\n7,9,1511544070\n"

    assert events_of("personalize", written(tmp_path, "i.csv", content)) == [CLICK]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("per_s", [1, 1000])
@pytest.mark.parametrize("types", [[0, 1, 2], ["clicks", "carts", "orders"]])
def test_otto_with_a_row_per_event_may_have_seconds_and_codes(
    tmp_path: Path, kind: str, per_s: int, types: list[Any]
) -> None:
    times = [(1_511_544_070 + n) * per_s for n in range(3)]
    table = pl.DataFrame({"session": 7, "aid": 9, "ts": times, "type": types})
    path = tmp_path / f"train.{kind}"
    if kind == "csv":
        table.write_csv(path)
    else:
        table.with_columns(pl.col("session", "aid").cast(pl.Int32)).write_parquet(path)

    events = events_of("otto", path)

    assert events[0] == CLICK
    assert [event["action"] for event in events] == ["click", "cart", "buy"]


@pytest.mark.parametrize(
    "header", ["session_id,timestamp,item_id,category", "SessionID,Timestamp,ItemID,Category"]
)
def test_yoochoose_may_have_a_header(tmp_path: Path, header: str) -> None:
    rows = "7,2017-11-24T17:21:10.000Z,9,0\n"

    (event,) = events_of("yoochoose", written(tmp_path, "clicks.dat", f"{header}\n{rows}"))

    assert event == CLICK | {"session_id": "7"}


def test_an_archive_is_read_like_the_folder_that_it_holds(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/readme.md", "About.\n")
        archive.writestr(
            "set/events.csv",
            "timestamp,visitorid,event,itemid,transactionid\n1511544070000,7,view,9,\n",
        )
        archive.writestr(
            "set/item_properties.csv", "timestamp,itemid,property,value\n1,9,categoryid,3\n"
        )
        archive.writestr("__MACOSX/._events.csv", "x")

    report = run("retailrocket", [path], tmp_path / "out.jsonl")

    assert report.events == {"click": 1}
    assert report.skipped == ["set/readme.md"]
    assert json.loads((tmp_path / "out.jsonl").read_text())["category"] == "3"


def test_an_archive_of_one_file_is_refused_like_the_file(tmp_path: Path) -> None:
    path = tmp_path / "archive.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", "timestamp,visitorid,event\n")

    with pytest.raises(DataError, match=r"zip, a.csv: .*no column itemid; found timestamp,"):
        run("retailrocket", [path], tmp_path / "out.jsonl")


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "a.zip", "PK")

    with pytest.raises(DataError, match=r"a.zip: cannot be read: File is not a zip file"):
        run("retailrocket", [path], tmp_path / "out.jsonl")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("otto", "user,item\n1,2\n", "it begins with 'user,item'; expected the columns session, "),
        ("yoochoose", "1;2014;3\n", "begins with '1;2014;3'; expected the columns session, time"),
        ("rees46", "event_time,event_type,product_id\n", "no column category_id, category_code"),
        ("taobao", "\x00\x01", r"begins with '\x00\x01'; expected the columns user, item, cat"),
    ],
)
def test_a_refusal_says_what_was_found_and_what_the_file_is_to_look_like(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    path = written(tmp_path, "file.csv", content)

    with pytest.raises(DataError) as refused:
        run(name, [path], tmp_path / "out.jsonl")
    assert message in str(refused.value)
