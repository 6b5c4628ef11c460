"""The conversion: turns the files of a data set into events of the wire contract."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from model.data.log import Item
from model.data.row import LONGEST, TEXTS
from model.errors import DataError
from model.formats.files import NO_TEXT, UNREADABLE, NoTableError, Place, opened, places
from model.formats.report import ConversionReport
from model.formats.table import Event, Format, Row, RowError, Table, header
from model.times import FIRST_TS_MS, LAST_TS_MS, unit_of

REPORT_EVERY_ROWS = 20_000


class Source(NamedTuple):
    """A file and the table of the format that it matches."""

    place: Place
    table: Table


@dataclass(slots=True)
class Conversion:
    """One run over the files of a format.

    ``items`` holds the items of the item files and, with ``keep_items``, those of the event rows
    too. ``on_bytes`` is called from time to time with the number of bytes read from all files.
    """

    data_format: Format
    sources: list[Source]
    report: ConversionReport
    keep_items: bool = False
    on_bytes: Callable[[int], None] = lambda _: None
    items: dict[str, Item] = field(default_factory=dict)
    _bytes_before: int = 0

    @classmethod
    def of(cls, data_format: Format, paths: Sequence[Path]) -> "Conversion":
        """Match each file to its table; a folder or an archive may contain other files, too.

        Raises DataError for a named file that does not belong to the format, and if no file has
        events.
        """
        report = ConversionReport()
        sources = []
        for path in paths:
            inside = places(path)
            for place in inside:
                try:
                    sources.append(Source(place, _table_of(data_format, place)))
                except NoTableError:
                    if not path.is_dir() and len(inside) == 1:
                        raise
                    report.skipped.append(place.name)
        if not any(source.table.to_event for source in sources):
            found = (
                ", ".join([*report.skipped[:5], *(s.place.name for s in sources[:5])]) or "nothing"
            )
            wanted = _wanted(data_format)
            raise DataError(f"{paths[0]}: has no event file; found {found}; {wanted}")
        return cls(data_format, sources, report)

    @property
    def size_bytes(self) -> int:
        """The total size of the files."""
        return sum(source.place.size_bytes for source in self.sources)

    def events(self) -> Iterator[Event]:
        """The events, in the order of the files; items are read first, to fill in categories.

        A row that is not an event is counted in the report with its reason.
        """
        for source in self.sources:
            if source.table.to_event is None:
                for row, place in self._rows(source):
                    self._learn(source.table, row, place)
        for source in self.sources:
            if source.table.to_event is not None:
                yield from self._events_of(source, source.table.to_event)

    def _events_of(self, source: Source, to_event: Callable[[Row], Event]) -> Iterator[Event]:
        for row, place in self._rows(source):
            self.report.rows += 1
            try:
                if isinstance(row, RowError):
                    raise row
                event = _checked(to_event(row))
            except RowError as reason:
                self.report.reject(str(reason), place)
                continue
            if self.keep_items:
                self._learn(source.table, row, place)
            if not event.get("category") and (item := self.items.get(event["item_id"])):
                event["category"] = item.category
            yield self._finished(event, row, place)

    def _rows(self, source: Source) -> Iterator[tuple[Row | RowError, str]]:
        with opened(source.place) as file:
            for number, row in enumerate(source.table.rows(file.lines, file.first_line), start=1):
                if number % REPORT_EVERY_ROWS == 0:
                    self.on_bytes(self._bytes_before + file.raw.tell())
                yield row, f"{source.place.name} row {number}"
        self._bytes_before += source.place.size_bytes
        self.on_bytes(self._bytes_before)

    def _learn(self, table: Table, row: Row | RowError, place: str) -> None:
        if table.to_item is None:
            return
        item = None if isinstance(row, RowError) else table.to_item(row)
        if item is not None and item.item_id:
            self.items[item.item_id] = item
        elif isinstance(row, RowError):
            self.report.rows += 1
            self.report.reject(f"{row} (of items)", place)

    def _finished(self, event: Event, row: Row, place: str) -> Event:
        content = "\x1f".join(row.values()) + (place if self.data_format.repeats else "")
        event_id = blake2b(content.encode(), digest_size=16).hexdigest()
        return {"event_id": event_id} | {k: v for k, v in event.items() if v not in (None, "")}


def _table_of(data_format: Format, place: Place) -> Table:
    """The table of the format that the file matches; raises NoTableError."""
    with opened(place) as file:
        first_line = file.first_line
    table = next((t for t in data_format.tables if t.fits(first_line)), None)
    if table is None:
        raise NoTableError(f"{place}: {_mismatch(data_format, first_line)}")
    if twice := table.repeated(first_line):
        raise DataError(f"{place}: has two columns {twice}; rename the one that is not meant")
    return table


def _mismatch(data_format: Format, first_line: str) -> str:
    """What was found in a file, and which columns it lacks to be the most similar table."""
    if not first_line:
        return "is empty; name another file"
    if first_line.startswith("["):
        return "is one array of JSON; write each object on a line of its own"
    if UNREADABLE in first_line:
        return f"is not UTF-8, as its first line shows: {first_line[:60]!r}; save it as UTF-8"
    with_header = [table for table in data_format.tables if table.head is None]
    nearest = min(with_header, key=lambda table: len(table.missing(first_line)), default=None)
    is_foreign = nearest is None or len(nearest.missing(first_line)) == len(nearest.columns)
    if nearest is None or (is_foreign and not data_format.advice):
        begins = f"is not a file of this format: it begins with {first_line[:60]!r}"
        return f"{begins}; {_wanted(data_format)}"
    missing = ", ".join(nearest.missing(first_line))
    advice = data_format.advice or "rename the column that holds it, or name another file"
    found = ", ".join(name[:40] for name in header(first_line)[:40])
    return f"is not a file of this format: no column {missing}; found {found}; {advice}"


def _wanted(data_format: Format) -> str:
    choices = [
        ", ".join(table.columns) + ("" if table.head is None else f" ({table.layout})")
        for table in data_format.tables
        if table.to_event
    ]
    return f"expected the columns {'; or '.join(choices)}"


def _checked(event: Event) -> Event:
    for name in TEXTS:
        if UNREADABLE in (text := event.get(name) or ""):
            what = "a list or an object" if text == NO_TEXT else "not UTF-8; save the file as UTF-8"
            raise RowError(f"{name} is {what}")
    if not 1 <= len(event["user_id"]) <= LONGEST["user_id"]:
        raise RowError("no user id of 1 to 256 characters")
    if not 1 <= len(event["item_id"]) <= LONGEST["item_id"]:
        raise RowError("no item id of 1 to 256 characters")
    if not FIRST_TS_MS <= event["ts"] <= LAST_TS_MS:
        unit = unit_of(event["ts"])
        raise RowError("the time is out of range" + (f", it looks like {unit}" if unit else ""))
    for name in ("action", "event_id", "session_id", "category"):
        if len(event.get(name) or "") > LONGEST[name]:
            raise RowError(f"{name} has more than {LONGEST[name]} characters")
    return event
