"""The data sets, each converted from a small file written after its column description."""

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from model.commands.convert import run
from model.data.log import Item, read_items
from model.formats import FORMATS
from model.formats.conversion import Conversion


def converted(name: str, folder: Path, **files: str) -> tuple[list[dict[str, Any]], Conversion]:
    for file, content in files.items():
        path = folder / file.replace("__", ".")
        path.write_text(content, encoding="utf-8")
    conversion = Conversion.of(FORMATS[name], [folder])
    conversion.keep_items = True
    return list(conversion.events()), conversion


def ms(*moment: int) -> int:
    return int(datetime(*moment, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc, arg-type]


def without_ids(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    assert len({event["event_id"] for event in events}) == len(events)
    return [{k: v for k, v in event.items() if k != "event_id"} for event in events]


def test_jdata_times_are_china_time_and_follows_are_not_events(tmp_path: Path) -> None:
    events, conversion = converted(
        "jdata",
        tmp_path,
        train__csv=(
            "action_time,user_id,sku_id,type,sessionId,index\n"
            "2018-03-01 00:00:06,7,70,1,42,1519862406.0\n"
            "2018-03-01 00:01:00,7,70,2,42,1519862460.0\n"
            "2018-03-01 00:02:00,7,71,5,42,1519862520.0\n"
            "2018-03-01 00:03:00,7,71,3,42,1519862580.0\n"
            "2018-03-01 00:04:00,7,71,4,42,1519862640.0\n"
            "2018-03-01 00:05:00,7,71,9,42,1519862700.0\n"
        ),
        items__tsv="sku_id\tbrand\tshop\tcate\tyears\n70\t1\t2\t69\t201512\n",
    )

    midnight = ms(2018, 2, 28, 16)  # 00:00 of the next day in China
    assert without_ids(events) == [
        {"user_id": "7", "item_id": "70", "action": "click", "ts": midnight + 6_000}
        | {"session_id": "42", "category": "69"},
        {"user_id": "7", "item_id": "70", "action": "buy", "ts": midnight + 60_000}
        | {"session_id": "42", "category": "69"},
        {"user_id": "7", "item_id": "71", "action": "cart", "ts": midnight + 120_000}
        | {"session_id": "42"},
    ]
    assert conversion.report.rejected == {
        "a follow is neither click, cart nor buy": 1,
        "a comment is neither click, cart nor buy": 1,
        "the type is none of 1 to 5": 1,
    }
    assert conversion.items == {"70": Item("70", "69", None)}


def test_jdata_files_of_the_contest_are_read_too(tmp_path: Path) -> None:
    events, _ = converted(
        "jdata",
        tmp_path,
        jdata_action__csv=(
            "user_id,sku_id,action_time,module_id,type\n7,70,2018-03-01 08:00:00.0,8,1\n"
        ),
        jdata_product__csv="sku_id,brand,shop_id,cate,market_time\n70,1,2,69,2015-12-01\n",
    )

    assert without_ids(events) == [
        {"user_id": "7", "item_id": "70", "action": "click", "ts": ms(2018, 3, 1)}
        | {"category": "69"}
    ]


def test_otto_sessions_are_users(tmp_path: Path) -> None:
    events, conversion = converted(
        "otto",
        tmp_path,
        train__jsonl=(
            '{"session":5,"events":[{"aid":15,"ts":1659304800025,"type":"clicks"},'
            '{"aid":15,"ts":1659304904511,"type":"carts"},'
            '{"aid":15,"ts":1659304904512,"type":"orders"},{"aid":15,"ts":1,"type":"returns"},'
            '{"aid":15,"type":"clicks"}]}\n'
            '{"session":6}\n{"session":7,"events":\n'
        ),
    )

    assert without_ids(events) == [
        {"user_id": "5", "item_id": "15", "action": "click", "ts": 1659304800025},
        {"user_id": "5", "item_id": "15", "action": "cart", "ts": 1659304904511},
        {"user_id": "5", "item_id": "15", "action": "buy", "ts": 1659304904512},
    ]
    assert conversion.report.rejected == {
        "the type is none of clicks, carts, orders": 1,
        "the entry has no aid, ts or type": 1,
        "the line is no session in JSON": 2,
    }


PUBLISHED_INVOICES = (
    "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
    "536365,85123A,WHITE HANGING HEART ,6,{winter},2.55,17850.0,United Kingdom\n"
    "536365,85123A,WHITE HANGING HEART ,6,{winter},2.55,17850.0,United Kingdom\n"
    "536366,22633,HAND WARMER,2,{summer},1.85,,United Kingdom\n"
    "C536379,D,Discount,-1,{winter},27.50,14527,United Kingdom\n"
    "A563185,B,Adjust bad debt,1,{winter},11062.06,,United Kingdom\n"
    "536370,POST,POSTAGE,3,{winter},18.00,12583,France\n"
    "536371,22139,damaged,-3,{winter},0.0,,United Kingdom\n"
    "536372,22139,found,3,{winter},0.0,,United Kingdom\n"
    "536373,22139,RETROSPOT TEA SET,3,noon,4.25,,United Kingdom\n"
)


@pytest.mark.parametrize(
    ("winter", "summer"),
    [("2010-12-01 08:26:00", "2011-06-01 08:26:00"), ("12/1/2010 8:26", "6/1/2011 8:26")],
)
def test_online_retail_lines_are_buys_in_british_time(
    tmp_path: Path, winter: str, summer: str
) -> None:
    events, conversion = converted(
        "online-retail",
        tmp_path,
        data__csv=PUBLISHED_INVOICES.format(winter=winter, summer=summer),
    )

    heart: dict[str, Any] = {
        "user_id": "17850",
        "item_id": "85123A",
        "action": "buy",
        "session_id": "536365",
    }
    heart |= {"ts": ms(2010, 12, 1, 8, 26), "price": 2.55, "quantity": 6.0}
    assert without_ids(events) == [
        heart,
        heart,  # a repeated line of an invoice is two events
        {"user_id": "invoice-536366", "item_id": "22633", "action": "buy"}
        | {"ts": ms(2011, 6, 1, 7, 26), "session_id": "536366", "price": 1.85, "quantity": 2.0},
    ]
    assert conversion.report.rejected == {
        "the invoice is cancelled": 1,
        "a correction of the books, no sale": 1,
        "the stock code is no goods": 1,
        "the quantity is not above zero": 1,
        "the price is not above zero": 1,
        "the time cannot be read": 1,
    }
    assert conversion.items["85123A"] == Item("85123A", None, "WHITE HANGING HEART")


def test_the_compact_gzipped_copy_of_online_retail_is_read(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "events.tsv.gz", "wt") as file:
        file.write("time\tcustomer\tinvoice\titem\tquantity\tprice\tcountry\n")
        file.write("2010-12-01 08:26\t17850\t536365\t85123A\t6\t2.55\t36\n")

    events, conversion = converted(
        "online-retail", tmp_path, items__tsv="item\tdescription\n85123A\tWHITE HANGING HEART\n"
    )

    assert [event["ts"] for event in events] == [ms(2010, 12, 1, 8, 26)]
    assert conversion.items == {"85123A": Item("85123A", None, "WHITE HANGING HEART")}


@pytest.mark.parametrize("name", ["rees46", "kaggle"])
def test_rees46_has_categories_prices_and_sessions(tmp_path: Path, name: str) -> None:
    head = (
        "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,"
        "user_session\n"
    )
    events, conversion = converted(
        name,
        tmp_path,
        events__csv=head
        + "2019-10-01 00:00:00 UTC,view,44,2103,electronics.smart_phone,acme,35.79,541,s-1\n"
        + "2019-10-01 00:00:01 UTC,cart,45,2104,,,NaN,541,s-1\n"
        + "2019-10-01 00:00:02 UTC,purchase,45,2104,,,0.50,541,\n"
        + "2019-10-01 00:00:03 UTC,remove_from_cart,45,2104,,,0.50,541,s-1\n"
        + "2019-10-01 00:00:03 UTC,wish,45,2104,,,0.50,541,s-1\n"
        + "2019-10-01 00:00:03 UTC,view,45,2104,,,0.50,,s-1\n",
    )

    start = ms(2019, 10, 1)
    assert without_ids(events) == [
        {"user_id": "541", "item_id": "44", "action": "click", "ts": start, "session_id": "s-1"}
        | {"category": "electronics.smart_phone", "price": 35.79},
        {"user_id": "541", "item_id": "45", "action": "cart", "ts": start + 1000}
        | {"session_id": "s-1", "category": "2104"},
        {"user_id": "541", "item_id": "45", "action": "buy", "ts": start + 2000}
        | {"category": "2104", "price": 0.5},
    ]
    assert conversion.report.rejected == {
        "taking out of the cart is neither click, cart nor buy": 1,
        "the event_type is none of view, cart, remove_from_cart, purchase": 1,
        "no user id of 1 to 256 characters": 1,
    }
    assert conversion.items == {
        "44": Item("44", "electronics.smart_phone", "acme electronics smart phone"),
        "45": Item("45", "2104", None),
    }


def test_yoochoose_clicks_and_buys_are_distinguished_without_a_header(tmp_path: Path) -> None:
    events, conversion = converted(
        "yoochoose",
        tmp_path,
        clicks__dat=(
            "1,2014-04-07T10:51:09.277Z,214536502,0\n"
            "1,2014-04-07T10:54:09.868Z,214536500,S\n"
            "1,2014-04-07,214536500\n"
        ),
        buys__dat=(
            "1,2014-04-07T10:58:00.306Z,214537888,12462,1\n"
            "1,2014-04-07T10:58:00.307Z,214537889,0,0\n"
        ),
    )

    session = {"user_id": "1", "session_id": "1"}
    morning = ms(2014, 4, 7, 10)
    assert sorted(without_ids(events), key=lambda event: event["ts"]) == [
        session | {"item_id": "214536502", "action": "click", "ts": morning + 51 * 60_000 + 9_277},
        session
        | {"item_id": "214536500", "action": "click", "ts": morning + 54 * 60_000 + 9_868}
        | {"category": "S"},
        session
        | {"item_id": "214537888", "action": "buy", "ts": morning + 58 * 60_000 + 306}
        | {"price": 12462.0, "quantity": 1.0},
        session | {"item_id": "214537889", "action": "buy", "ts": morning + 58 * 60_000 + 307},
    ]
    assert conversion.report.rejected == {"the row has too few or too many columns": 1}


def test_diginetica_time_counts_from_midnight_of_the_session(tmp_path: Path) -> None:
    events, conversion = converted(
        "diginetica",
        tmp_path,
        **{
            "train-item-views__csv": (
                "sessionId;userId;itemId;timeframe;eventdate\n"
                "1;NA;81766;526309;2016-05-09\n"
                "1;NA;31331;soon;2016-05-09\n"
            ),
            "train-purchases__csv": (
                "sessionId;userId;timeframe;eventdate;ordernumber;itemId\n"
                "1;9;600000;2016-05-09;5;81766\n"
            ),
            "product-categories__csv": "itemId;categoryId\n81766;7\n",
            "products__csv": "itemId;pricelog2;product.name.tokens\n81766;10;4,5\n",
        },
    )

    day = ms(2016, 5, 9)
    session = {"user_id": "1", "item_id": "81766", "session_id": "1", "category": "7"}
    assert without_ids(events) == [
        session | {"action": "click", "ts": day + 526_309},
        session | {"action": "buy", "ts": day + 600_000},
    ]
    assert conversion.report.rejected == {"the time cannot be read": 1}
    assert conversion.report.skipped == ["products.csv"]


def test_retailrocket_uses_the_last_category_of_an_item(tmp_path: Path) -> None:
    events, conversion = converted(
        "retailrocket",
        tmp_path,
        events__csv=(
            "timestamp,visitorid,event,itemid,transactionid\n"
            "1433221332117,257597,view,355908,\n"
            "1433221332118,257597,addtocart,355908,\n"
            "1433221332119,257597,transaction,355909,4000\n"
            "1433221332120,257597,wish,355909,\n"
        ),
        item_properties_part1__csv=(
            "timestamp,itemid,property,value\n"
            "1435460400000,355908,categoryid,1338\n"
            "1435460400000,355909,888,n277.200\n"
        ),
        item_properties_part2__csv=(
            "timestamp,itemid,property,value\n1436065200000,355908,categoryid,1400\n"
        ),
    )

    visitor = {"user_id": "257597"}
    assert without_ids(events) == [
        visitor | {"item_id": "355908", "action": "click", "ts": 1433221332117, "category": "1400"},
        visitor | {"item_id": "355908", "action": "cart", "ts": 1433221332118, "category": "1400"},
        visitor | {"item_id": "355909", "action": "buy", "ts": 1433221332119},
    ]
    assert conversion.report.rejected == {"the event is none of view, addtocart, transaction": 1}


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_has_a_one_line_summary(name: str) -> None:
    assert 20 < len(FORMATS[name].summary) < 100


@pytest.fixture
def real_data() -> Path:
    folder = os.environ.get("LATELY_DATA_DIR")
    if not folder:
        pytest.skip("LATELY_DATA_DIR does not name the folder with the real data sets")
    return Path(folder)


def test_real_jdata_converts_except_follows_comments_and_duplicates(
    real_data: Path, tmp_path: Path
) -> None:
    jdata, items = real_data / "jdata", tmp_path / "items.csv"

    report = run("jdata", [jdata / "train.csv", jdata / "items.tsv"], tmp_path / "e.jsonl", items)

    assert report.rows == 27_183
    assert report.events == {"click": 24_365 - 1, "buy": 1_906 - 1}
    assert report.rejected == {
        "a follow is neither click, cart nor buy": 448,
        "a comment is neither click, cart nor buy": 464,
        "a duplicate of another row": 2,
    }
    assert len({item.category for item in read_items(items).values()}) == 78


def test_real_otto_converts_completely(real_data: Path, tmp_path: Path) -> None:
    report = run("otto", [real_data / "otto-sample"], tmp_path / "e.jsonl")

    assert report.events == {"click": 800, "cart": 52, "buy": 10}
    assert not report.rejected


def test_real_online_retail_converts_except_rows_that_are_not_sales(
    real_data: Path, tmp_path: Path
) -> None:
    report = run("online-retail", [real_data / "online-retail"], tmp_path / "e.jsonl")

    assert report.rows == 541_909
    assert report.events.total() + report.rejected.total() == report.rows
    assert report.rejected["the invoice is cancelled"] == 9_288
    assert report.events["buy"] > 500_000
