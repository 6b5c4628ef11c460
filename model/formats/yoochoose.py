"""Yoochoose (RecSys Challenge 2015): sessions of clicks and buys in European shops.

Files have no header; copies with one are read too, whatever the case of its names. Clicks and the
test file: session, time, item, category; buys: session, time, item, price, quantity. Times are ISO
8601 in UTC. A click's category is ``0`` if it is missing, ``S`` for a special offer, 1 to 12 for a
category, and a longer number for a brand. A price or a quantity of 0 is missing.

Users are not identified across sessions, so the session is the user.
"""

import re
from datetime import UTC

from model.formats.table import Event, Format, Row, Table, iso_ms, number

CLICKS = ("session", "time", "item", "category")
BUYS = ("session", "time", "item", "price", "quantity")
ALIASES = {"sessionid": "session", "timestamp": "time", "itemid": "item"}
ALIASES |= {name: name for name in (*CLICKS, *BUYS)}
TIME = r"\d{4}-\d\d-\d\dT[\d:.]+Z"


def click(row: Row) -> Event:
    """The event of one row of the clicks."""
    category = row["category"]
    return _event(row, "click") | {"category": None if category == "0" else category}


def buy(row: Row) -> Event:
    """The event of one row of the buys."""
    return _event(row, "buy") | {
        "price": number(row["price"]) or None,
        "quantity": number(row["quantity"]) or None,
    }


def _event(row: Row, action: str) -> Event:
    return {
        "user_id": row["session"],
        "item_id": row["item"],
        "action": action,
        "ts": iso_ms(row["time"], UTC),
        "session_id": row["session"],
    }


FORMAT = Format(
    "Yoochoose, RecSys Challenge 2015: files of clicks and of buys",
    (
        Table(CLICKS, click, head=re.compile(rf"\d+,{TIME},\d+,\w+$")),
        Table(BUYS, buy, head=re.compile(rf"\d+,{TIME},\d+,[\d.]+,\d+$")),
        Table(CLICKS, click, aliases=ALIASES),
        Table(BUYS, buy, aliases=ALIASES),
    ),
)
