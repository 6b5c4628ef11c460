"""JData: the click and order log of a Chinese shop, from the JDATA contest of 2019.

Columns of the action file: ``user_id``, ``sku_id``, ``action_time``, ``type`` (1 browse, 2 order,
3 follow, 4 comment, 5 add to cart), and ``sessionId`` in the extract of MKM-SR. An item file has
``sku_id`` and ``cate``, the category.

``action_time`` is local time in China, eight hours ahead of UTC. MKM-SR's column ``index`` is not
used: it holds the same local time read as UTC, which is eight hours late. The daily traffic
confirms it: in China's time it is lowest at three in the morning and highest at nine in the
evening.

A follow (a bookmark) and a comment are neither click, cart nor buy: such rows are not events.
"""

from datetime import timedelta, timezone

from model.data.log import Item
from model.formats.table import Event, Format, Row, RowError, Table, iso_ms

CHINA = timezone(timedelta(hours=8))
ACTIONS = {"1": "click", "2": "buy", "5": "cart"}
OTHERS = {
    "3": "a follow is neither click, cart nor buy",
    "4": "a comment is neither click, cart nor buy",
}


def to_event(row: Row) -> Event:
    """The event of one row of the action file."""
    action = ACTIONS.get(row["type"])
    if action is None:
        raise RowError(OTHERS.get(row["type"], "the type is none of 1 to 5"))
    return {
        "user_id": row["user_id"],
        "item_id": row["sku_id"],
        "action": action,
        "ts": iso_ms(row["action_time"], CHINA),
        "session_id": row.get("sessionId"),
    }


def to_item(row: Row) -> Item:
    """The item of one row of the item file; the set has no titles."""
    return Item(row["sku_id"], row["cate"], None)


FORMAT = Format(
    "JDATA contest 2019: browse, cart and order log (action file, and a file of items)",
    (
        Table(("user_id", "sku_id", "action_time", "type"), to_event),
        Table(("sku_id", "cate"), to_item=to_item),
    ),
)
