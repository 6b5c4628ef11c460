"""The files of a data set: in folders and archives, packed or not, read as lines of text.

A Parquet file is read as the lines of a CSV, so that a table need not know the difference.
"""

import csv
import gzip
import io
import math
import zipfile
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NamedTuple

from model.errors import DataError, how_to_install

LONGEST_HEAD = 1 << 20  # characters of the first line read, as the file may be binary


class Place(NamedTuple):
    """A file, or a member of a zip archive."""

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.name if self.member is None else self.member

    @property
    def size_bytes(self) -> int:
        """The size on disk, that of a member once unpacked."""
        if self.member is None:
            return self.path.stat().st_size
        with zipfile.ZipFile(self.path) as archive:
            return archive.getinfo(self.member).file_size

    def __str__(self) -> str:
        return str(self.path) if self.member is None else f"{self.path}, {self.member}"


def places(path: Path) -> list[Place]:
    """The file at a path, or the files in the folder or archive there.

    Raises DataError for a path that does not exist, or an archive that cannot be read.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_dir():
        inside = sorted(file for file in path.iterdir() if file.is_file())
        return [place for file in inside for place in places(file)]
    if path.suffix != ".zip":
        return [Place(path)]
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info.filename for info in archive.infolist() if not info.is_dir()]
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: cannot be read: {error}; name another file") from error
    hidden = ("__MACOSX/", ".")
    return [Place(path, name) for name in sorted(members) if not name.startswith(hidden)]


class Opened(NamedTuple):
    """An open file: its lines, the first of them, and its bytes, for the position so far."""

    lines: Iterator[str]
    first_line: str
    raw: IO[bytes]


@contextmanager
def opened(place: Place) -> Iterator[Opened]:
    """Open a file as lines, whatever it is packed in. Raises DataError if it cannot be read."""
    try:
        with ExitStack() as stack:
            raw = _raw(place, stack)
            if Path(place.name).suffix == ".parquet":
                lines = _parquet_lines(place, raw)
                first_line = next(lines, "").rstrip("\r\n")
                yield Opened(_from_first(first_line, lines), first_line, raw)
                return
            is_gzip = place.name.endswith(".gz")
            content: IO[bytes] = gzip.GzipFile(fileobj=raw) if is_gzip else raw  # type: ignore[assignment]
            text = io.TextIOWrapper(content, _encoding(content), errors="replace", newline="")
            first_line = text.readline(LONGEST_HEAD).rstrip("\r\n")
            text.seek(0)
            yield Opened(text, first_line, raw)
    except (OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{place}: cannot be read: {error}; name another file") from error


def _raw(place: Place, stack: ExitStack) -> IO[bytes]:
    if place.member is None:
        return stack.enter_context(place.path.open("rb"))
    archive = stack.enter_context(zipfile.ZipFile(place.path))
    return stack.enter_context(archive.open(place.member))


def _encoding(content: IO[bytes]) -> str:
    mark = content.read(2)
    content.seek(0)
    return "utf-16" if mark in (BOM_UTF16_LE, BOM_UTF16_BE) else "utf-8-sig"


def _from_first(first_line: str, rest: Iterator[str]) -> Iterator[str]:
    yield first_line
    yield from rest


def _parquet_lines(place: Place, raw: IO[bytes]) -> Iterator[str]:
    """The header and the rows; no value is an empty field."""
    try:
        import polars as pl
    except ImportError:
        raise DataError(f"{place}: Parquet needs polars; {how_to_install()}") from None
    from model.data.log_files import polars_errors

    with polars_errors(place.path):
        frame = pl.scan_parquet(place.path if place.member is None else io.BytesIO(raw.read()))
        names = frame.collect_schema().names()
        yield _csv_line(names)
        for batch in frame.collect_batches(maintain_order=True):
            for row in batch.iter_rows():
                yield _csv_line([as_text(value) for value in row])


def _csv_line(fields: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(fields)
    return line.getvalue()


def as_text(value: Any) -> str:
    """A typed value as a CSV would have it; a whole number has no fraction, as it may be an id."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float | Decimal) and value == int(value):
        return str(int(value))
    return value.isoformat() if isinstance(value, datetime) else str(value)
