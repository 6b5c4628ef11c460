"""OTTO: clicks, carts and orders of a German shop, one JSON object per session.

A line is ``{"session": …, "events": [{"aid": item, "ts": milliseconds, "type": clicks | carts |
orders}]}``. A session holds everything one user did in the weeks of the log, so it becomes the
user, and no session is set. A row of the report is one of the events.

Copies for notebooks are CSV or Parquet with a row per event: ``session``, ``aid``, ``ts``,
``type``. Some have seconds in ``ts``, and 0, 1 and 2 for the three types.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from model.formats.files import as_text
from model.formats.table import Event, Format, Row, RowError, Table, seconds_or_ms

ACTIONS = {"clicks": "click", "carts": "cart", "orders": "buy"}
ACTIONS |= {str(code): action for code, action in enumerate(list(ACTIONS.values()))}


def to_event(row: Row) -> Event:
    """The event of one entry of ``events``, to which the session was added."""
    action = ACTIONS.get(row["type"])
    if action is None:
        raise RowError("the type is none of clicks, carts, orders")
    return {
        "user_id": row["session"],
        "item_id": row["aid"],
        "action": action,
        "ts": seconds_or_ms(row["ts"]),
    }


@dataclass(frozen=True, slots=True)
class SessionLines(Table):
    """A JSON-lines file with one session per line."""

    def rows(self, lines: Iterator[str], first_line: str) -> Iterator[Row | RowError]:
        """The events of all lines; a line that is not a session yields one RowError."""
        del first_line  # there is no header
        for line in lines:
            try:
                session = json.loads(line)
                rows = [{"session": session["session"], **event} for event in session["events"]]
            except (ValueError, KeyError, TypeError, RecursionError):
                yield RowError("the line is no session in JSON")
                continue
            for row in rows:
                if set(self.columns) <= set(row):
                    yield {name: as_text(value) for name, value in row.items()}
                else:
                    yield RowError("the entry has no aid, ts or type")


COLUMNS = ("session", "aid", "ts", "type")
FORMAT = Format(
    "OTTO recommender data set: sessions as JSON lines, or events as CSV or Parquet",
    (
        SessionLines(
            COLUMNS,
            to_event,
            head=re.compile(r'\s*\{(?=.*"session")(?=.*"events")'),
            layout='a line per session: {"session": …, "events": [{"aid", "ts", "type"}]}',
        ),
        Table(COLUMNS, to_event),
    ),
)
