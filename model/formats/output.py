"""Writes converted events and items as JSON lines, CSV or Parquet, atomically."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from model.data.log import Item
from model.data.row import COLUMNS, NUMBERS
from model.errors import DataError, how_to_install
from model.formats.table import Event
from model.scratch import removed_in_the_end, whole_file

EVENT_SUFFIXES = (".jsonl", ".csv", ".parquet")
ITEM_SUFFIXES = (".jsonl", ".csv", ".tsv")


def write_events(events: Iterable[Event], path: Path) -> None:
    """Write one log in the format of the suffix of ``path``, one of ``EVENT_SUFFIXES``.

    Raises DataError if it cannot be written, or if Parquet is requested without polars.
    """
    with _whole(path) as part:
        if path.suffix == ".csv":
            _write_csv(events, part, ("event_id", *(c for c in COLUMNS if c != "event_id")), ",")
        elif path.suffix == ".jsonl":
            _write_lines(events, part)
        else:
            _write_parquet(events, part)


def write_items(items: Iterable[Item], path: Path) -> None:
    """Write the items in the format of the suffix of ``path``, one of ``ITEM_SUFFIXES``."""
    rows = (item._asdict() for item in items)
    with _whole(path) as part:
        if path.suffix == ".jsonl":
            _write_lines(rows, part)
        else:
            _write_csv(rows, part, Item._fields, "\t" if path.suffix == ".tsv" else ",")


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path``, renamed to it when written completely."""
    try:
        with whole_file(path) as part:
            yield part
    except OSError as error:
        raise DataError(f"{path}: cannot be written: {error.strerror}; choose another") from error


def _write_lines(rows: Iterable[Event], path: Path) -> None:
    with path.open("wb") as file:
        for row in rows:
            file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


def _write_csv(rows: Iterable[Event], path: Path, columns: tuple[str, ...], delimiter: str) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, delimiter=delimiter, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _write_parquet(events: Iterable[Event], path: Path) -> None:
    try:
        import polars as pl
    except ImportError:
        raise DataError(
            f"{path.with_suffix('')}: Parquet needs polars; {how_to_install()}, or write .jsonl"
        ) from None
    # By way of JSON lines, which Polars reads in pieces.
    lines = path.with_name(f"{path.name}.jsonl")
    types = {name: pl.Float64() if name in NUMBERS else pl.String() for name in COLUMNS}
    with removed_in_the_end(lines):
        _write_lines(events, lines)
        schema = types | {"ts": pl.Int64()}
        pl.scan_ndjson(lines, schema=schema).sink_parquet(path, compression="zstd")
