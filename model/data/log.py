"""Reads, checks and cleans the event log and the item list.

Polars reads the log lazily, so one larger than memory can be scanned and counted; dropping
duplicates and sorting hold all rows, so a log that does not fit is rejected before that.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from model.data.attributes import attribute_columns, attributes, extra_columns
from model.data.columns import HEAD, SEPARATORS, head_fault
from model.data.log_files import open_log_file, polars_errors
from model.data.memory import check_memory
from model.data.row import COLUMNS, FORGET, RowFault, text_of
from model.data.text_files import json_lines, open_csv
from model.errors import DataError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class EventLog:
    """A checked log; ``frame`` reads the files again, lazily.

    ``frame`` has the columns of the wire contract: ``ts`` in integer milliseconds since the
    epoch, price and quantity as floats, the rest as strings, null if a row has no value. Its
    rows are sorted by user, then time, then their order in the files. Of ``rows``,
    ``duplicates`` were dropped, and ``forgotten`` because their users later asked for it.
    """

    frame: "pl.LazyFrame"
    rows: int
    duplicates: int
    forgotten: int
    fingerprint: str

    @classmethod
    def open(cls, paths: Sequence[Path]) -> "EventLog":
        """Check and clean the files, as one log.

        A row with the same user and ``event_id`` as another is a duplicate, and so is a row
        without an ``event_id`` that is equal in every column; the first is kept. A ``forget`` row
        removes its user's rows up to its time, or all of them if it has none. Raises DataError.
        """
        import polars as pl

        if not paths:
            raise DataError("no event log given; name at least one file")
        files = [open_log_file(path) for path in paths]
        # A row's position across the files: the file in the upper bits, its row in the lower ones.
        frames = [
            file.frame.with_columns(pl.col("row").cast(pl.UInt64) + (number << 40))
            for number, file in enumerate(files)
        ]
        rows = sum(file.rows for file in files)
        requests = sum(file.forget_requests for file in files)
        check_memory(", ".join(map(str, paths)), rows)
        whole = pl.concat(frames)
        allowed = _without_forgotten(whole) if requests else whole
        n_allowed = _count(allowed) if requests else rows
        unique = _without_duplicates(allowed)
        n_unique = _count(unique)
        if n_unique == 0:
            raise DataError(f"{paths[0]}: every event of the log is to be forgotten; give others")
        # Without duplicates, readers of the frame are spared the search for them.
        clean = unique if n_unique < n_allowed else allowed
        return cls(
            frame=clean.sort("user_id", "ts", "row").drop("row"),
            rows=rows,
            duplicates=n_allowed - n_unique,
            forgotten=rows - requests - n_allowed,
            fingerprint=fingerprint(paths),
        )


def _count(frame: "pl.LazyFrame") -> int:
    import polars as pl

    return int(frame.select(pl.len()).collect(engine="streaming").item())


def _without_forgotten(frame: "pl.LazyFrame") -> "pl.LazyFrame":
    import polars as pl

    is_request = pl.col("action") == FORGET
    # A request without a time covers all events of its user.
    until = pl.col("ts").fill_null(pl.lit(2**63 - 1, pl.Int64)).max()
    requests = frame.filter(is_request).group_by("user_id").agg(until.alias("until"))
    rest = frame.filter(~is_request).join(requests, on="user_id", how="left")
    return rest.filter(pl.col("until").is_null() | (pl.col("ts") > pl.col("until"))).drop("until")


def _without_duplicates(frame: "pl.LazyFrame") -> "pl.LazyFrame":
    import polars as pl

    # If a row has an event_id, its other columns are ignored: they are blanked in the key.
    rest = [name for name in COLUMNS if name not in ("user_id", "event_id")]
    blanked = {f"key_{name}": pl.when(pl.col("event_id").is_null()).then(name) for name in rest}
    key = ["user_id", "event_id", *blanked]
    marked = frame.with_columns(**blanked)
    return marked.unique(key, keep="first", maintain_order=True).drop(*blanked)


def fingerprint(paths: Sequence[Path]) -> str:
    """SHA-256 over the SHA-256 of each file, in the order given; hexadecimal."""
    whole = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            whole.update(hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


WANTED_ITEMS = "expected rows of item_id,category,title"


class Item(NamedTuple):
    """One item of an item list."""

    item_id: str
    category: str | None
    title: str | None
    attributes: tuple[str, ...] = ()  # see model.data.attributes


def read_items(path: Path, every_column: bool = False) -> dict[str, Item]:
    """The items of a file with ``item_id``, ``category``, ``title``, by id, in its order.

    JSON lines, CSV, TSV or Parquet; category and title may be empty or missing. Other columns
    are attributes, without those that only measure unless ``every_column`` is set. Raises
    DataError for a file that cannot be read, a row without an id, or a repeated id.
    """
    items: dict[str, Item] = {}
    rows = list(_rows(path))
    columns = extra_columns(rows) if every_column else attribute_columns(rows)
    for number, row in enumerate(rows, start=1):
        try:
            item_id, category = (
                text_of(name, _whole(row.get(name))) for name in ("item_id", "category")
            )
        except RowFault as fault:
            raise DataError(f"{path}: row {number}: {fault}") from fault
        if not item_id:
            raise DataError(f"{path}: row {number} has no item_id; {WANTED_ITEMS}")
        if item_id in items:
            raise DataError(f"{path}: row {number} repeats item {item_id}; keep one of them")
        title = _text(row.get("title"))
        if isinstance(row.get("title"), list | dict):
            raise DataError(f"{path}: row {number}: title is {title}, expected a text")
        items[item_id] = Item(item_id, category or None, title, attributes(row, columns))
    if not items:
        raise DataError(f"{path}: no items; {WANTED_ITEMS}")
    return items


def _whole(value: object) -> object:
    """Without the fraction that a data frame adds to whole numbers in a column with gaps."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _text(value: object) -> str | None:
    is_nan = isinstance(value, float) and math.isnan(value)  # a gap, as pandas writes it
    return None if value is None or value == "" or is_nan else str(value)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        _check_head(path)
        match path.suffix:
            case ".jsonl" | ".ndjson":
                for number, line in json_lines(path):
                    yield _json_object(line, number)
            case ".csv" | ".tsv":
                delimiter = "\t" if path.suffix == ".tsv" else ","
                with open_csv(path, delimiter, wider=True) as (names, rows):
                    _check_header(path, names, delimiter)
                    yield from (dict(zip(names, row, strict=False)) for row in rows)
            case ".parquet":
                import polars as pl

                with polars_errors(path):
                    yield from pl.read_parquet(path).iter_rows(named=True)
            case suffix:
                raise DataError(f"{path}: {suffix} is not one of .jsonl .ndjson .csv .tsv .parquet")
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read: {error}; give item_id,category,title") from error


def _check_head(path: Path) -> None:
    if path.suffix != ".parquet":
        with path.open("rb") as file:
            if fault := head_fault(path, file.read(HEAD)):
                raise DataError(f"{path}: {re.split('[,;]', fault)[0]}; save it as UTF-8")


def _check_header(path: Path, names: Sequence[str], delimiter: str) -> None:
    if not names or names.count("item_id") == 1:
        return
    if "item_id" in names:
        raise DataError(f"{path}: has two columns item_id; rename the one that is not meant")
    separators = [
        word for mark, word in SEPARATORS.items() if mark in names[0] and mark != delimiter
    ]
    if len(names) == 1 and separators:
        raise DataError(
            f"{path}: its columns are separated by {separators[0]}; write {SEPARATORS[delimiter]}"
        )
    raise DataError(f"{path}: no column item_id; found {', '.join(names)}; {WANTED_ITEMS}")


def _json_object(line: bytes, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
        json.dumps(row, ensure_ascii=False).encode()  # an escape may be half of a character
    except (ValueError, RecursionError) as error:
        raise ValueError(f"line {number}: {error}") from None
    if not isinstance(row, dict):
        found = line[:40].decode(errors="replace")
        raise ValueError(f"line {number}: {found!r} is not a JSON object")
    return row
