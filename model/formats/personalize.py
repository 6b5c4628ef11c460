"""Personalize: an interactions file, as it is imported into Amazon Personalize.

Columns: ``USER_ID``, ``ITEM_ID``, ``TIMESTAMP`` (Unix seconds), and optionally ``EVENT_TYPE``,
whose values each shop chooses. We take the names that the service and its samples use; a row
without an event type is a click. For rows of other types there is `lately convert table`.
"""

from model.formats.table import Event, Format, Row, RowError, Table, epoch_ms

COLUMNS = ("USER_ID", "ITEM_ID", "TIMESTAMP")
ALIASES = {name.replace("_", "").lower(): name for name in (*COLUMNS, "EVENT_TYPE")}
ACTIONS = {
    "": "click",
    "click": "click",
    "view": "click",
    "detailpageview": "click",
    "productview": "click",
    "addtocart": "cart",
    "cart": "cart",
    "purchase": "buy",
    "buy": "buy",
}


def to_event(row: Row) -> Event:
    """The event of one row."""
    event_type = row.get("EVENT_TYPE", "")
    action = ACTIONS.get("".join(filter(str.isalnum, event_type)).lower())
    if action is None:
        raise RowError("the EVENT_TYPE is neither a view, a cart nor a purchase")
    return {
        "user_id": row["USER_ID"],
        "item_id": row["ITEM_ID"],
        "action": action,
        "ts": epoch_ms(row["TIMESTAMP"], "seconds"),
    }


FORMAT = Format(
    "Amazon Personalize: a file of interactions",
    (Table(COLUMNS, to_event, aliases=ALIASES),),
)
