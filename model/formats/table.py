"""The table: how one type of file in a public data set is recognised and its rows converted."""

import csv
import gzip
import io
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from model.data.log import Item
from model.errors import DataError
from model.times import parse_iso_ms

Row = Mapping[str, str]
Event = dict[str, Any]
DELIMITERS = ("\t", ";", ",")
LONGEST_HEAD = 1 << 20  # characters of the first line read, as the file may be binary


class RowError(Exception):
    """A row that is not an event; its message is the reason, under which rows are counted."""


@dataclass(frozen=True, slots=True)
class Table:
    """A type of file, recognised by its first line.

    With ``head``: a file without a header whose first line matches ``head`` and whose columns are
    ``columns``, in this order. Otherwise: a file whose header has at least ``columns``, separated
    by tabs, semicolons or commas. ``to_event`` and ``to_item`` raise RowError for an invalid row;
    ``to_item`` gives None for a row without an item.
    """

    columns: tuple[str, ...]
    to_event: Callable[[Row], Event] | None = None
    to_item: Callable[[Row], Item | None] | None = None
    head: re.Pattern[str] | None = None

    def fits(self, first_line: str) -> bool:
        """Whether a file with this first line is of this type."""
        if self.head is not None:
            return self.head.match(first_line) is not None
        return self._delimiter(first_line) is not None

    def rows(self, text: io.TextIOBase, first_line: str) -> Iterator[Row | RowError]:
        """The rows below the header; a malformed one yields a RowError."""
        delimiter = self._delimiter(first_line)
        reader = csv.reader(text, delimiter=delimiter or ",")
        names = list(self.columns) if self.head else [name.strip() for name in next(reader)]
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

    def _delimiter(self, first_line: str) -> str | None:
        for delimiter in DELIMITERS:
            names = next(csv.reader([first_line], delimiter=delimiter), [])
            if set(self.columns) <= {name.strip() for name in names}:
                return delimiter
        return None


class Format(NamedTuple):
    """A data set: its types of files and a one-line summary.

    With ``repeats``, two equal rows are two events; otherwise the second one is a duplicate.
    """

    summary: str
    tables: tuple[Table, ...]
    repeats: bool = False


class Opened(NamedTuple):
    """An open file: its text, its first line, and its bytes, for the position so far."""

    text: io.TextIOWrapper
    first_line: str
    raw: BinaryIO


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a text file, gzipped or not. Raises DataError if it cannot be read."""
    try:
        with path.open("rb") as raw:
            content = gzip.GzipFile(fileobj=raw) if path.suffix == ".gz" else raw
            text = io.TextIOWrapper(content, "utf-8-sig", errors="replace", newline="")
            first_line = text.readline(LONGEST_HEAD).rstrip("\r\n")
            text.seek(0)
            yield Opened(text, first_line, raw)
    except (OSError, EOFError) as error:
        raise DataError(f"{path}: cannot be read: {error}; name another file") from error


def iso_ms(text: str, zone: tzinfo) -> int:
    """Milliseconds since the epoch of an ISO 8601 time, in ``zone`` unless it has its own."""
    try:
        return parse_iso_ms(text.strip(), zone)
    except ValueError:
        raise RowError("the time cannot be read") from None


def integer(text: str) -> int:
    """A time in whole units; raises RowError if it is invalid."""
    try:
        return int(text)
    except ValueError:
        raise RowError("the time cannot be read") from None


def number(text: str) -> float | None:
    """A price or a quantity, or None if the text is not a finite number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
