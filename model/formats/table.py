"""The table: how one type of file in a public data set is recognised and its rows converted."""

import csv
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from decimal import Decimal
from typing import Any, NamedTuple

from model.data.log import Item
from model.times import FIRST_TS_MS, LAST_TS_MS, parse_iso_ms, unit_of

Row = Mapping[str, str]
Event = dict[str, Any]
DELIMITERS = ("\t", ";", ",", "|")
_IN_MS = {  # milliseconds in so many of a unit
    "seconds": (1000, 1),
    "milliseconds": (1, 1),
    "microseconds": (1, 1000),
    "nanoseconds": (1, 1_000_000),
}


class RowError(Exception):
    """A row that is not an event; its message is the reason, under which rows are counted."""


@dataclass(frozen=True, slots=True)
class Table:
    """A type of file, recognised by its first line.

    With ``head``: a file without a header whose first line matches ``head`` and whose columns are
    ``columns``, in this order. Otherwise: a file whose header has at least ``columns``, separated
    by tabs, semicolons, commas or bars. ``aliases`` gives other names of columns, in small letters
    and without anything between them: ``customerid`` stands for ``Customer ID``, too. ``to_event``
    and ``to_item`` raise RowError for an invalid row; ``to_item`` gives None for a row without an
    item.
    """

    columns: tuple[str, ...]
    to_event: Callable[[Row], Event] | None = None
    to_item: Callable[[Row], Item | None] | None = None
    head: re.Pattern[str] | None = None
    aliases: Mapping[str, str] = field(default_factory=dict)
    layout: str = "without a header"  # of a file with ``head``, in words

    def fits(self, first_line: str) -> bool:
        """Whether a file with this first line is of this type."""
        if self.head is not None:
            return self.head.match(first_line) is not None
        return self._delimiter(first_line) is not None

    def rows(self, lines: Iterator[str], first_line: str) -> Iterator[Row | RowError]:
        """The rows below the header; a malformed one yields a RowError."""
        delimiter = self._delimiter(first_line)
        reader = csv.reader(lines, delimiter=delimiter or ",", skipinitialspace=True)
        names = list(self.columns) if self.head else self._ours(next(reader))
        while True:
            try:
                fields = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield RowError("the row is broken")
                continue
            if len(fields) == len(names):
                yield dict(zip(names, fields, strict=True))
            elif fields:
                yield RowError("the row has too few or too many columns")

    def missing(self, first_line: str) -> list[str]:
        """The columns that a file with this header does not have."""
        found = self._ours(header(first_line))
        return [name for name in self.columns if name not in found]

    def repeated(self, first_line: str) -> str | None:
        """A column of this table that a file with this header has twice."""
        if self.head is not None:
            return None
        found = self._ours(names_in(first_line, self._delimiter(first_line) or ","))
        return next((name for name in self.columns if found.count(name) > 1), None)

    def _ours(self, names: list[str]) -> list[str]:
        """The names of a header as this table has them."""
        plain = [re.sub(r"[\W_]", "", name).lower() for name in names]
        return [
            self.aliases.get(short, name.strip()) for short, name in zip(plain, names, strict=True)
        ]

    def _delimiter(self, first_line: str) -> str | None:
        for delimiter in DELIMITERS:
            if set(self.columns) <= set(self._ours(names_in(first_line, delimiter))):
                return delimiter
        return None


def names_in(first_line: str, delimiter: str) -> list[str]:
    """The names in a header, without the spaces around them."""
    try:
        names = next(csv.reader([first_line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:
        return []
    return [name.strip() for name in names]


def header(first_line: str) -> list[str]:
    """The names in a header, by the delimiter that gives most of them."""
    return max((names_in(first_line, delimiter) for delimiter in DELIMITERS), key=len)


class Format(NamedTuple):
    """A data set: its types of files and a one-line summary.

    With ``repeats``, two equal rows are two events; otherwise the second one is a duplicate.
    """

    summary: str
    tables: tuple[Table, ...]
    repeats: bool = False
    advice: str = ""  # what to do about a file that does not fit


def iso_ms(text: str, zone: tzinfo) -> int:
    """Milliseconds since the epoch of an ISO 8601 time, in ``zone`` unless it has its own."""
    try:
        return parse_iso_ms(text.strip(), zone)
    except ValueError:
        raise RowError("the time cannot be read") from None


def epoch_ms(text: str, unit: str) -> int:
    """Milliseconds of a time since 1970 that is counted in this unit, such as ``seconds``.

    Raises RowError, which names the unit that the number looks like, for one that is no event's
    time.
    """
    each, of = _IN_MS[unit]
    try:
        found = int(text) if text.isdecimal() else Decimal(text)
        ms = int(found * each // of)
    except (ArithmeticError, ValueError):
        raise RowError("the time is no number") from None
    if FIRST_TS_MS <= ms <= LAST_TS_MS:
        return ms
    likely = unit_of(found)
    if likely is None or likely == unit:
        raise RowError("the time is out of range")
    raise RowError(f"the time looks like {likely}, not {unit}")


def integer(text: str) -> int:
    """A time in whole units; raises RowError if it is invalid."""
    try:
        return int(text)
    except ValueError:
        raise RowError("the time cannot be read") from None


def seconds_or_ms(text: str) -> int:
    """Milliseconds of a time in a data set that is passed on with seconds as well."""
    number = integer(text)
    return 1000 * number if unit_of(number) == "seconds" else number


def number(text: str) -> float | None:
    """A price or a quantity, or None if the text is not a finite number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
