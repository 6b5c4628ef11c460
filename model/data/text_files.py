"""Text files: their rows as Python reads them, and as bytes that Polars reads alike.

Polars reads most files faster and as well. What it would read otherwise, or not at all, is
written anew in memory: a name that occurs twice in an object, of which it takes the first value and
a worker the last; marks where files were put together; lines that end in a carriage return alone;
quotes in the middle of a field.
"""

import csv
import io
import re
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path

import msgspec

from model.data.row import COLUMNS, RowFault, check_types

_MARK = BOM_UTF8.decode()
_ENDS = (b"}\n", b"}\r\n", b"}")
_NAMES = tuple(f'"{name}"'.encode() for name in COLUMNS)
_ODD_IN_CSV = re.compile(rb"\n\xef\xbb\xbf|\r(?!\n)")
_Fields = msgspec.defstruct(
    "_Fields", [(name, msgspec.Raw | msgspec.UnsetType, msgspec.UNSET) for name in COLUMNS]
)
_decode_fields = msgspec.json.Decoder(_Fields).decode
# The longest field that a worker takes is bounded by its message; of others Python must not stop.
csv.field_size_limit(2**31 - 1)


def json_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """The lines that are not empty, with their numbers from 1 and without marks at their start."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if content := line.removeprefix(BOM_UTF8).strip():
                yield number, content


def check_json_lines(path: Path) -> bool:
    """Check each line; whether Polars would read one otherwise. Raises RowFault with its number."""
    is_odd, number = False, 0
    try:
        with path.open("rb") as lines:
            for line in lines:
                number += 1
                if content := line.removeprefix(BOM_UTF8).strip():
                    check_types(content)
                    is_odd = is_odd or _is_odd(line)
    except RowFault as fault:
        raise RowFault(f"line {number}: {fault}") from fault
    return is_odd


def _is_odd(line: bytes) -> bool:
    if not (line.startswith(b"{") and line.endswith(_ENDS)) or b"\\u00" in line:
        return True
    return any(line.count(name) > 1 for name in _NAMES)


def rewritten_json_lines(path: Path) -> bytes:
    """The fields that count of each line, as a worker reads them; its lines were checked."""
    return b"\n".join(_rewritten(line) for _, line in json_lines(path))


def _rewritten(line: bytes) -> bytes:
    found = msgspec.structs.asdict(_decode_fields(line))
    fields = [(n, raw) for n, raw in found.items() if raw is not msgspec.UNSET]
    return b"{%b}" % b",".join(b'"%b":%b' % (name.encode(), raw) for name, raw in fields)


@contextmanager
def open_csv(
    path: Path, delimiter: str = ",", *, wider: bool = False
) -> Iterator[tuple[list[str], Iterator[list[str]]]]:
    """The header and the rows, without empty lines; reading a row raises RowFault with its number.

    A row has as many fields as the header, or fewer; with ``wider`` also more.
    """
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = csv.reader(map(_unmarked, file), delimiter=delimiter, strict=True)
        numbered = _numbered(row for row in rows if row)
        _, names = next(numbered, (0, []))
        yield names, _rows(numbered, None if wider else len(names))


def _unmarked(line: str) -> str:
    if not line.isascii():
        try:
            line.encode()
        except UnicodeEncodeError:
            raise RowFault("holds bytes that are not UTF-8") from None
    return line.removeprefix(_MARK)


def _numbered(rows: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """The header as 0, then the rows from 1."""
    number = 0
    try:
        for row in rows:
            yield number, row
            number += 1
    except (csv.Error, RowFault) as error:
        raise RowFault(f"row {number}: {error}") from error


def _rows(numbered: Iterator[tuple[int, list[str]]], most: int | None) -> Iterator[list[str]]:
    for number, row in numbered:
        if most is not None and len(row) > most:
            raise RowFault(f"row {number}: more fields than columns; fix it")
        yield row


def is_odd_csv(path: Path) -> bool:
    """Whether Polars would read a CSV otherwise than Python."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        return _ODD_IN_CSV.search(content) is not None


def rewritten_csv(path: Path) -> bytes:
    """The same table, as plain as can be; raises RowFault for a row that cannot be read."""
    text = io.StringIO()
    with open_csv(path) as (names, rows):
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(names)
        writer.writerows(row + [""] * (len(names) - len(row)) for row in rows)
    return text.getvalue().encode()
