"""Taobao UserBehavior: nine days of page views, favourites, carts and purchases of a marketplace.

``UserBehavior.csv`` has no header: user, item, category, behaviour (``pv``, ``fav``, ``cart``,
``buy``) and the time in Unix seconds. Copies have a header, in several spellings. A favourite is
none of our actions. Some rows have a time outside the nine days, or none that can be.
"""

import re

from model.formats.table import Event, Format, Row, RowError, Table, epoch_ms

COLUMNS = ("user", "item", "category", "behavior", "timestamp")
ALIASES = {"userid": "user", "itemid": "item", "categoryid": "category", "itemcategory": "category"}
ALIASES |= {"behaviortype": "behavior", "behaviour": "behavior", "behaviourtype": "behavior"}
ALIASES |= {"time": "timestamp"} | {name: name for name in COLUMNS}
ACTIONS = {"pv": "click", "cart": "cart", "buy": "buy"}


def to_event(row: Row) -> Event:
    """The event of one row."""
    behavior = row["behavior"]
    if behavior == "fav":
        raise RowError("a favourite is neither click, cart nor buy")
    if behavior not in ACTIONS:
        raise RowError("the behaviour is none of pv, fav, cart, buy")
    return {
        "user_id": row["user"],
        "item_id": row["item"],
        "action": ACTIONS[behavior],
        "ts": epoch_ms(row["timestamp"], "seconds"),
        "category": row["category"],
    }


FORMAT = Format(
    "Taobao UserBehavior: page views, carts and purchases",
    (
        Table(COLUMNS, to_event, head=re.compile(r"\d+,\d+,\d+,(pv|fav|cart|buy),-?\d+$")),
        Table(COLUMNS, to_event, aliases=ALIASES),
    ),
)
