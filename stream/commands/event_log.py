"""The log that `lately replay` sends: read from files in order of time, in bounded memory."""

import heapq
import time
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from model.data.columns import HEAD, head_fault, refusal
from model.data.external_sort import in_time_order
from model.data.row import Entry as Row
from model.data.row import RowFault, read_line, read_row
from model.data.text_files import json_lines, open_csv
from model.errors import how_to_install
from model.scratch import scratch_folder
from stream.errors import LatelyError

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")


class EventLogError(LatelyError):
    """The log cannot be replayed; the message says what to fix in it."""


class Entry(NamedTuple):
    """One event of the log: its time, its user, and the JSON to send."""

    ts_ms: int
    user_id: str
    value: bytes


@dataclass(frozen=True, slots=True)
class ReplayLog:
    """A log that was read once to check that a worker will take every event.

    ``in_order`` says for each file whether its events are in order of time, ``first_ms`` at which
    time it begins.
    """

    paths: tuple[Path, ...]
    in_order: tuple[bool, ...]
    first_ms: tuple[int, ...]
    events: int
    last_ms: int

    @classmethod
    def open(cls, paths: Sequence[Path]) -> "ReplayLog":
        """Read all files once to check them and count their events.

        Raises EventLogError for a file that cannot be read, a row that a worker would not take, and
        a log without events.
        """
        in_order, events, last_ms = [], 0, 0
        first_ms = _first_times(paths)
        for path, begin_ms in zip(paths, first_ms, strict=True):
            ordered, before_ms = True, 0
            for entry in _entries(path, begin_ms):
                ordered = ordered and entry.ts_ms >= before_ms
                before_ms = entry.ts_ms
                events += 1
                last_ms = max(last_ms, before_ms)
            in_order.append(ordered)
        if events == 0:
            names = ", ".join(map(str, paths))
            raise EventLogError(f"{names}: the log is empty; name one with events")
        return cls(tuple(paths), tuple(in_order), first_ms, events, last_ms)

    def entries(self) -> Generator[Entry, None, None]:
        """All events in order of time; those of the same time keep their order in the files.

        A file that is not in order is sorted in temporary files, if it does not fit into 64 MB of
        memory (`model.data.external_sort`).
        """
        with ExitStack() as scratch:
            files = map(_entries, self.paths, self.first_ms)
            ordered_files = [
                entries if ordered else _sorted(entries, _scratch_folder(scratch))
                for entries, ordered in zip(files, self.in_order, strict=True)
            ]
            yield from heapq.merge(*ordered_files, key=attrgetter("ts_ms"))


def _scratch_folder(stack: ExitStack) -> Path:
    return stack.enter_context(scratch_folder("lately-replay-"))


def _sorted(entries: Iterable[Entry], folder: Path) -> Iterator[Entry]:
    timed = ((entry.ts_ms, entry.value) for entry in entries)
    for ts_ms, value in in_time_order(timed, folder):
        yield Entry(ts_ms, read_line(value).user_id, value)


def _first_times(paths: Sequence[Path]) -> tuple[int, ...]:
    """The first time that each file has.

    A file that has none, as a list of ``forget`` may, begins with the others, or else now.
    """
    found = [next((r.ts_ms for r in _rows(path) if r.ts_ms is not None), None) for path in paths]
    known = [first_ms for first_ms in found if first_ms is not None]
    otherwise_ms = min(known) if known else time.time_ns() // 1_000_000
    return tuple(otherwise_ms if first_ms is None else first_ms for first_ms in found)


def _entries(path: Path, first_ms: int) -> Iterator[Entry]:
    """The events of one file in its order; one without a time takes that of the event before."""
    before_ms = first_ms
    for row in _rows(path):
        before_ms = before_ms if row.ts_ms is None else row.ts_ms
        yield Entry(before_ms, row.user_id, row.value)


def _rows(path: Path) -> Iterator[Row]:
    """The events of a file."""
    try:
        match path.suffix:
            case ".jsonl" | ".ndjson":
                yield from _json_lines(path)
            case ".csv":
                yield from _csv_rows(path)
            case ".parquet":
                yield from _parquet_rows(path)
            case _:
                raise EventLogError(f"{path}: expected a name with one of {' '.join(SUFFIXES)}")
    except OSError as error:
        raise EventLogError(f"{path}: cannot be read: {error}; name another log") from error


def _json_lines(path: Path) -> Iterator[Row]:
    _check_head(path)
    for number, line in json_lines(path):
        try:
            yield read_line(line)
        except RowFault as fault:
            raise EventLogError(f"{path}, line {number}: {fault}") from fault


def _csv_rows(path: Path) -> Iterator[Row]:
    _check_head(path)
    try:
        with open_csv(path) as (names, rows):
            if fault := refusal(path, names):
                raise EventLogError(f"{path}: {fault}")
            for number, row in enumerate(rows, start=1):
                given = {n: text for n, text in zip(names, row, strict=False) if text}
                if given:
                    yield _row(path, number, given)
    except RowFault as fault:
        raise EventLogError(f"{path}, {fault}") from fault


def _check_head(path: Path) -> None:
    with path.open("rb") as file:
        if fault := head_fault(path, file.read(HEAD)):
            raise EventLogError(f"{path}: {fault}")


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import polars as pl
    except ImportError:
        raise EventLogError(
            f"{path}: Parquet needs polars; {how_to_install()}, or replay JSON lines"
        ) from None
    number = 0
    try:
        for batch in pl.scan_parquet(path).collect_batches(maintain_order=True):
            for row in batch.iter_rows(named=True):
                number += 1
                given = {name: value for name, value in row.items() if value is not None}
                yield _row(path, number, given)
    except pl.exceptions.PolarsError as error:
        raise EventLogError(f"{path}: cannot be read: {error}; name another log") from error


def _row(path: Path, number: int, row: Mapping[str, Any]) -> Row:
    try:
        return read_row(row)
    except RowFault as fault:
        raise EventLogError(f"{path}, row {number}: {fault}") from fault
