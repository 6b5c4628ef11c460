"""Retailrocket: four and a half months of views, carts and transactions of a shop.

Columns of ``events.csv``: ``timestamp`` (Unix milliseconds), ``visitorid``, ``event`` (view,
addtocart, transaction), ``itemid``, ``transactionid``. The two files of item properties have
``timestamp``, ``itemid``, ``property``, ``value``, in weekly snapshots; all values are hashed but
those of ``categoryid``, which we use, and ``available``. If an item's category changes, the last
one in the files is kept.
"""

from model.data.log import Item
from model.formats.table import Event, Format, Row, RowError, Table, epoch_ms

ACTIONS = {"view": "click", "addtocart": "cart", "transaction": "buy"}


def to_event(row: Row) -> Event:
    """The event of one row of ``events.csv``."""
    action = ACTIONS.get(row["event"])
    if action is None:
        raise RowError("the event is none of view, addtocart, transaction")
    return {
        "user_id": row["visitorid"],
        "item_id": row["itemid"],
        "action": action,
        "ts": epoch_ms(row["timestamp"], "milliseconds"),
    }


def to_item(row: Row) -> Item | None:
    """The item of one row of the properties, if the property is the category."""
    return Item(row["itemid"], row["value"], None) if row["property"] == "categoryid" else None


FORMAT = Format(
    "Retailrocket: events.csv, and the item properties for categories",
    (
        Table(("timestamp", "visitorid", "event", "itemid"), to_event),
        Table(("timestamp", "itemid", "property", "value"), to_item=to_item),
    ),
)
