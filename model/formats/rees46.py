"""REES46 (on Kaggle): the event log of a large shop, one file per month.

Columns: ``event_time`` (UTC), ``event_type`` (view, cart, remove_from_cart, purchase),
``product_id``, ``category_id``, ``category_code`` (a path such as ``electronics.smartphone``, often
empty), ``brand`` (often empty), ``price``, ``user_id`` (permanent), ``user_session`` (a new one
after a long pause).

The category is the code, or the id if there is no code. Brand and category are the only text that
the log has on an item, so they make its title. Removing from the cart is none of our actions.
"""

from datetime import UTC

from model.data.log import Item
from model.formats.table import Event, Format, Row, RowError, Table, iso_ms, number

ACTIONS = {"view": "click", "cart": "cart", "purchase": "buy"}
COLUMNS = (
    "event_time",
    "event_type",
    "product_id",
    "category_id",
    "category_code",
    "brand",
    "price",
    "user_id",
    "user_session",
)


def to_event(row: Row) -> Event:
    """The event of one row."""
    event_type = row["event_type"]
    if event_type == "remove_from_cart":
        raise RowError("taking out of the cart is neither click, cart nor buy")
    if event_type not in ACTIONS:
        raise RowError("the event_type is none of view, cart, remove_from_cart, purchase")
    return {
        "user_id": row["user_id"],
        "item_id": row["product_id"],
        "action": ACTIONS[event_type],
        "ts": iso_ms(row["event_time"].removesuffix(" UTC"), UTC),
        "session_id": row["user_session"],
        "category": row["category_code"] or row["category_id"],
        "price": number(row["price"]),
    }


def to_item(row: Row) -> Item:
    """The item of one row."""
    words = row["category_code"].replace(".", " ").replace("_", " ")
    title = f"{row['brand']} {words}".strip()
    return Item(row["product_id"], row["category_code"] or row["category_id"], title or None)


FORMAT = Format(
    "REES46 / Kaggle e-commerce events: view, cart, purchase",
    (Table(COLUMNS, to_event, to_item),),
)
