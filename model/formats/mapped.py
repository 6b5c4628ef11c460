"""The mapped table: a log in columns of any name, converted by what the user says about them.

`lately convert table`: which column is which field, which name is which action, and how times are
written.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from model.data.log import Item
from model.data.row import COLUMNS, REQUIRED
from model.formats.files import UNREADABLE, as_text
from model.formats.table import Event, Format, Row, RowError, Table, epoch_ms, iso_ms, number
from model.times import fault_of

FIELDS = (*COLUMNS, "title")  # a title is for the item list
UNITS = {  # of --time-format
    **dict.fromkeys(("s", "seconds"), "seconds"),
    **dict.fromkeys(("ms", "milliseconds"), "milliseconds"),
    **dict.fromkeys(("us", "microseconds"), "microseconds"),
    **dict.fromkeys(("ns", "nanoseconds"), "nanoseconds"),
}
MOST_ACTIONS = 20  # names of actions that the report counts one by one
_NUMBER = re.compile(r"[+-]?[0-9]+([.,][0-9]*)?([eE][+-]?[0-9]+)?$")
# Commas and points that can mean only one thing: 19,90 and 1.234,56 and 1,234.56.
_DECIMAL_COMMA = re.compile(r"[+-]?([0-9]+,[0-9]{1,2}|[0-9]{1,3}(\.[0-9]{3})+,[0-9]+)")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(,[0-9]{3})+\.[0-9]+")
_DIGITS_OF_A_DATE = re.compile(r"(19|20)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(\d\d){0,3}")
_DAYS = range(20_000, 80_000)  # how a workbook counts the days of 1954 to 2119


@dataclass(frozen=True, slots=True)
class Columns:
    """What the user says about a table.

    ``of`` gives the column of a field; one that is not in there has the field's name. ``actions``
    gives the action of a name in the table; without any, names stay as they are. With
    ``only_action`` there is no column of actions, and each row is this one. ``time_format`` is one
    of ``UNITS``, a pattern of ``strptime``, or None for what an event may have as its time, or a
    day; ``zone`` is that of times without one.
    """

    of: Mapping[str, str]
    actions: Mapping[str, str]
    only_action: str | None = None
    time_format: str | None = None
    zone: tzinfo = UTC
    _unknown: set[str] = field(default_factory=set)

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns without which a file is refused."""
        fields = [name for name in REQUIRED if name != "action" or self.only_action is None]
        fields += [name for name in self.of if name not in fields]
        return tuple(dict.fromkeys(self.of.get(name, name) for name in fields))

    def to_event(self, row: Row) -> Event:
        """The event of one row."""
        texts = {name: self._found(row, name) for name in COLUMNS}
        if UNREADABLE in self._found(row, "title"):
            raise RowError("title is not UTF-8; save the file as UTF-8")
        for name in ("user_id", "item_id", "ts"):
            if not texts[name]:
                raise RowError(f"no {name} in the column {self.of.get(name, name)}")
        action = self.only_action or self._action(texts["action"])
        numbers = {name: _number(texts[name]) for name in ("price", "quantity")}
        return {**texts, **numbers, "action": action, "ts": self._ms(texts["ts"])}

    def to_item(self, row: Row) -> Item | None:
        """The item of one row."""
        item_id, category, title = (
            self._found(row, name) for name in ("item_id", "category", "title")
        )
        return Item(item_id, category or None, title or None) if item_id else None

    def _found(self, row: Row, name: str) -> str:
        return row.get(self.of.get(name, name), "").strip()

    def _action(self, name: str) -> str:
        if not name:
            raise RowError(f"no action in the column {self.of.get('action', 'action')}")
        if not self.actions or name in self.actions.values():
            return name
        action = self.actions.get(name)
        if action is not None:
            return action
        if len(self._unknown) < MOST_ACTIONS:
            self._unknown.add(name)
        if name in self._unknown:
            raise RowError(f"no --action says what {name[:64]!r} is")
        raise RowError("no --action says what other names are")

    def _ms(self, text: str) -> int:
        if self.time_format in UNITS:
            return epoch_ms(text.replace(",", "."), UNITS[self.time_format])
        if self.time_format is not None:
            try:
                moment = datetime.strptime(text, self.time_format)  # noqa: DTZ007 the zone follows
            except ValueError:
                raise RowError(f"the time does not fit {self.time_format}") from None
            return iso_ms(moment.isoformat(), self.zone)
        if _NUMBER.match(text):
            if fault := _fault_of(text):
                raise RowError(f"the time {fault}; say what it is with --time-format")
            return int(float(text))
        for name in (" UTC", " GMT"):
            if text.endswith(name):
                return iso_ms(text.removesuffix(name), UTC)
        return iso_ms(text.upper(), self.zone)


def _fault_of(text: str) -> str | None:
    """Why a number is no time in milliseconds."""
    if _DIGITS_OF_A_DATE.fullmatch(text):
        return "looks like a date in digits, as %Y%m%d%H%M%S has it"
    number = float(text.replace(",", "."))
    if number // 1 in _DAYS:
        return "looks like a workbook's number of days; save it as a date"
    return fault_of(number)


def _number(text: str) -> float | None:
    """A number, also with a decimal comma or with commas or points between thousands."""
    if _DECIMAL_COMMA.fullmatch(text):
        return number(text.replace(".", "").replace(",", "."))
    return number(text.replace(",", "") if _THOUSANDS.fullmatch(text) else text)


@dataclass(frozen=True, slots=True)
class ObjectLines(Table):
    """A JSON-lines file with one event per line."""

    def rows(self, lines: Iterator[str], first_line: str) -> Iterator[Row | RowError]:
        """The fields of each line as text; a line that is no object yields a RowError."""
        del first_line  # there is no header
        for line in lines:
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                yield {str(name): as_text(value) for name, value in row.items()}
            except (ValueError, AttributeError, RecursionError):
                yield RowError("the line is no JSON object")


def mapped_format(columns: Columns) -> Format:
    """The format of a table that has these columns."""
    needed = columns.needed
    lines = ObjectLines(
        needed,
        columns.to_event,
        columns.to_item,
        head=re.compile(r"\s*\{"),
        layout="in JSON lines",
    )
    return Format(
        "any table: CSV, JSON lines or Parquet, with --map, --action and --time-format",
        (Table(needed, columns.to_event, columns.to_item), lines),
        advice="name the column of each field with --map FIELD=COLUMN",
    )
