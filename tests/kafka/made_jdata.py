"""The made log: the shop of `model.synthetic.shop`, written as JDATA's files are."""

import csv
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import takewhile
from pathlib import Path

from model.formats.jdata import ACTIONS, CHINA
from model.synthetic.shop import Shop

# Around the moment at which docs/real-data.md parts the log.
PARTED = datetime(2018, 3, 3, 10, tzinfo=CHINA)
PAST, NEW = timedelta(minutes=30), timedelta(minutes=4)
EVENTS_PER_S = 1.5
SHOPPERS = 100
ITEMS, CATEGORIES = 200, 10
N_FOLLOWS = N_COMMENTS = N_DOUBLES = 7

ACTION_COLUMNS = ("action_time", "user_id", "sku_id", "type", "sessionId", "index")
ITEM_COLUMNS = ("sku_id", "brand", "shop", "cate", "years")


def write(folder: Path) -> int:
    """Write two action files and one of items; returns how many events are in them.

    The rows that are no event: follows, comments, and rows that stand in both files.
    """
    folder.mkdir()
    shop = Shop(seed=5, n_items=ITEMS, n_categories=CATEGORIES)
    begin, end = (int((PARTED + span).timestamp() * 1000) for span in (-PAST, NEW))
    stream = shop.events(SHOPPERS, begin, events_per_s=EVENTS_PER_S)
    events = list(takewhile(lambda event: event["ts"] < end, stream))
    codes = {action: code for code, action in ACTIONS.items()}
    rows = [
        (_clock(e["ts"]), e["user_id"], e["item_id"], codes[e["action"]], e["session_id"], "")
        for e in events
    ]
    others = [(*row[:3], code, *row[4:]) for row in rows[:N_FOLLOWS] for code in ("3", "4")]
    half = len(rows) // 2
    _write(folder / "train.csv", ACTION_COLUMNS, [*others, *rows[: half + N_DOUBLES]], ",")
    _write(folder / "test.csv", ACTION_COLUMNS, rows[half:], ",")
    categories = sorted({item.category for item in shop.items})
    items = [(i.item_id, 1, 1, categories.index(i.category), "201801") for i in shop.items]
    _write(folder / "items.tsv", ITEM_COLUMNS, items, "\t")
    return len(set(rows))


def _clock(ts_ms: int) -> str:
    # JDATA's clock has whole seconds.
    return f"{datetime.fromtimestamp(ts_ms / 1000, UTC).astimezone(CHINA):%Y-%m-%d %H:%M:%S}"


def _write(
    path: Path, columns: tuple[str, ...], rows: Sequence[tuple[object, ...]], by: str
) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter=by, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
