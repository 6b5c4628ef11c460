"""The files of a data set: in folders and archives, packed or not, read as lines of text.

A Parquet file is read as the lines of a CSV, so that a table need not know the difference.
"""

import csv
import gzip
import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO, Any, NamedTuple

from model.data.columns import GZIP, HEAD, KINDS, encoding_of
from model.errors import DataError, how_to_install

LONGEST_HEAD = 1 << 20  # characters of the first line read, as the file may be binary
UNREADABLE = "\N{REPLACEMENT CHARACTER}"  # stands for what is not UTF-8
NO_TEXT = f"{UNREADABLE}[]"  # of a value that stands for no text
_BYTE_ORDER_MARK = "\ufeff"
_NO_TABLE = re.compile(r"\s*(sep=.?)?\s*", re.IGNORECASE)  # a line before the header, as of Excel


class NoTableError(DataError):
    """The file is no text, or has no table of the format."""


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
    if path.suffix.lower() != ".zip":
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
            suffix = Path(place.name).suffix.lower()
            lines = _parquet_lines(place, raw) if suffix == ".parquet" else _text_lines(place, raw)
            first_line = next((line for line in lines if not _NO_TABLE.fullmatch(line)), "")
            yield Opened(_from_first(first_line, lines), first_line.rstrip("\r\n"), raw)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise DataError(f"{place}: cannot be read: {error}; name another file") from error
    except (RuntimeError, NotImplementedError) as error:
        if place.member is None:
            raise
        # A password, or a way of packing that Python does not know.
        raise DataError(f"{place}: cannot be unpacked: {error}; unpack it by hand") from error


def _raw(place: Place, stack: ExitStack) -> IO[bytes]:
    if place.member is None:
        return stack.enter_context(place.path.open("rb"))
    archive = stack.enter_context(zipfile.ZipFile(place.path))
    return stack.enter_context(archive.open(place.member))


def _text_lines(place: Place, raw: IO[bytes]) -> Iterator[str]:
    is_gzip = place.name.lower().endswith(".gz") or _head(raw).startswith(GZIP)
    content: IO[bytes] = gzip.GzipFile(fileobj=raw) if is_gzip else raw  # type: ignore[assignment]
    head = _head(content)
    if kind := next((kind for start, kind in KINDS.items() if head.startswith(start)), None):
        raise NoTableError(f"{place}: {kind}")
    text = io.TextIOWrapper(content, encoding_of(head), errors="replace", newline="")
    first_line = text.readline(LONGEST_HEAD)
    # Files that were put together have marks in the middle, too.
    yield first_line.removeprefix(_BYTE_ORDER_MARK)
    for line in text:
        yield line.removeprefix(_BYTE_ORDER_MARK)


def _head(content: IO[bytes]) -> bytes:
    head = content.read(HEAD)
    content.seek(0)
    return head


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
    """A typed value as a CSV would have it; a whole number has no fraction, as it may be an id.

    A list or an object is ``NO_TEXT``; what is not Unicode becomes U+FFFD.
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return ""
    if isinstance(value, float | Decimal) and value == int(value):
        return str(int(value))
    if isinstance(value, bytes):  # of a Parquet column that does not say that it has texts
        return value.decode(errors="replace")
    if isinstance(value, list | dict):
        return NO_TEXT
    if isinstance(value, str):
        return value.encode(errors="surrogatepass").decode(errors="replace")
    return value.isoformat() if isinstance(value, datetime) else str(value)
