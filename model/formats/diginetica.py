"""Diginetica (CIKM Cup 2016): item views and purchases in sessions of a shop's search.

Columns, parted by semicolons. ``train-item-views.csv``: ``sessionId``, ``userId``, ``itemId``,
``timeframe``, ``eventdate``; ``train-purchases.csv``: the same and ``ordernumber``;
``product-categories.csv``: ``itemId``, ``categoryId``. The other files of the set hold searches,
pictures and hashed words, and are not read.

``eventdate`` is a day, without a zone: we take UTC. ``timeframe`` counts milliseconds since the
session began; when on that day is not known, so we take midnight: time within a session is right,
time between the sessions of a day is not.

``userId`` is ``NA`` for most, and may change from ``NA`` to a name inside a session, which would
part a buy from its views. So the session is the user.
"""

from datetime import UTC

from model.data.log import Item
from model.formats.table import Event, Format, Row, Table, integer, iso_ms


def view(row: Row) -> Event:
    """The event of one row of the item views."""
    return _event(row, "click")


def purchase(row: Row) -> Event:
    """The event of one row of the purchases."""
    return _event(row, "buy")


def to_item(row: Row) -> Item:
    """The item of one row of the product categories; titles exist only as hashed words."""
    return Item(row["itemId"], row["categoryId"], None)


def _event(row: Row, action: str) -> Event:
    return {
        "user_id": row["sessionId"],
        "item_id": row["itemId"],
        "action": action,
        "ts": iso_ms(row["eventdate"], UTC) + integer(row["timeframe"]),
        "session_id": row["sessionId"],
    }


SHARED = ("sessionId", "userId", "itemId", "timeframe", "eventdate")
FORMAT = Format(
    "Diginetica, CIKM Cup 2016: item views, purchases, product categories",
    (
        Table((*SHARED, "ordernumber"), purchase),
        Table(SHARED, view),
        Table(("itemId", "categoryId"), to_item=to_item),
    ),
)
