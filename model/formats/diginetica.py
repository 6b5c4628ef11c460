"""Diginetica (CIKM Cup 2016): item views and purchases in the search sessions of a shop.

Columns, separated by semicolons. ``train-item-views.csv``: ``sessionId``, ``userId``, ``itemId``,
``timeframe``, ``eventdate``; ``train-purchases.csv``: the same and ``ordernumber``;
``product-categories.csv``: ``itemId``, ``categoryId``. The other files of the set hold searches,
pictures and hashed words, and are not read.

``eventdate`` is a day without a zone: we assume UTC. ``timeframe`` counts milliseconds since the
session began; the time of day of that is unknown, so we assume midnight: times within a session
are right, times between the sessions of a day are not.

``userId`` is ``NA`` for most rows, and may change from ``NA`` to an id within a session, which
would separate a buy from its views. So the session is the user.
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
