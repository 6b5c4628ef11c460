"""The event log and the item list: read, checked and cleaned.

Polars reads the log lazily, so one larger than memory can be scanned and counted; dropping
duplicates and sorting hold all rows, so a log for which there is no room is refused before that.
"""

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from model.data.attributes import attributes, further_columns, naming_columns
from model.data.log_files import COLUMNS, FORGET, open_log_file, polars_errors
from model.data.memory import refuse_beyond_memory
from model.errors import DataError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class EventLog:
    """A log that was checked once; ``frame`` reads the files again, lazily.

    ``frame`` has the columns of the wire contract: ``ts`` in integer milliseconds since the
    epoch, price and quantity as floats, the rest as texts, null where a row says nothing. Its
    rows stand by user, then time, then their order in the files. Of ``rows``, ``duplicates``
    were dropped, and ``forgotten``, those of users who asked for it later.
    """

    frame: "pl.LazyFrame"
    rows: int
    duplicates: int
    forgotten: int
    fingerprint: str

    @classmethod
    def open(cls, paths: Sequence[Path]) -> "EventLog":
        """Check and clean the files, as one log.

        The same ``event_id`` of the same user is a duplicate, and so is a row without one that
        is equal in every column; the first stays. A ``forget`` row takes away that user's rows
        up to its time, or all of them if it has none. Raises DataError.
        """
        import polars as pl

        if not paths:
            raise DataError("no event log given; name at least one file")
        files = [open_log_file(path) for path in paths]
        # A row's place in all the files: the file in the upper bits, its row in the lower ones.
        frames = [
            file.frame.with_columns(pl.col("row").cast(pl.UInt64) + (number << 40))
            for number, file in enumerate(files)
        ]
        rows, wishes = sum(file.rows for file in files), sum(file.wishes for file in files)
        refuse_beyond_memory(", ".join(map(str, paths)), rows)
        asked_for = pl.concat(frames)
        allowed = _without_forgotten(asked_for) if wishes else asked_for
        n_allowed = _count(allowed) if wishes else rows
        unique = _without_duplicates(allowed)
        n_unique = _count(unique)
        if n_unique == 0:
            raise DataError(f"{paths[0]}: the log has no events but those to forget; give others")
        # Nobody who reads the frame need look for duplicates where there are none.
        clean = unique if n_unique < n_allowed else allowed
        return cls(
            frame=clean.sort("user_id", "ts", "row").drop("row"),
            rows=rows,
            duplicates=n_allowed - n_unique,
            forgotten=rows - wishes - n_allowed,
            fingerprint=fingerprint(paths),
        )


def _count(frame: "pl.LazyFrame") -> int:
    import polars as pl

    return int(frame.select(pl.len()).collect(engine="streaming").item())


def _without_forgotten(frame: "pl.LazyFrame") -> "pl.LazyFrame":
    import polars as pl

    is_wish = pl.col("action") == FORGET
    # A wish without a time reaches to the end of time.
    reach = pl.col("ts").fill_null(pl.lit(2**63 - 1, pl.Int64)).max()
    wishes = frame.filter(is_wish).group_by("user_id").agg(reach.alias("until"))
    rest = frame.filter(~is_wish).join(wishes, on="user_id", how="left")
    return rest.filter(pl.col("until").is_null() | (pl.col("ts") > pl.col("until"))).drop("until")


def _without_duplicates(frame: "pl.LazyFrame") -> "pl.LazyFrame":
    import polars as pl

    # With an event_id the other columns do not count: they are blanked in the key.
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


class Item(NamedTuple):
    """What is known of an item besides its events."""

    item_id: str
    category: str | None
    title: str | None
    attributes: tuple[str, ...] = ()  # see model.data.attributes


def read_items(path: Path, every_column: bool = False) -> dict[str, Item]:
    """Items by id, in the order of the file, which has ``item_id``, ``category``, ``title``.

    JSON lines, CSV, TSV or Parquet; category and title may be empty or missing. Further columns
    are attributes, those that only measure left out, unless ``every_column`` is wanted. Raises
    DataError for a file that cannot be read, a row without an id, or an id that stands twice.
    """
    items: dict[str, Item] = {}
    rows = list(_rows(path))
    columns = further_columns(rows) if every_column else naming_columns(rows)
    for number, row in enumerate(rows, start=1):
        item_id = _text(row.get("item_id"))
        if item_id is None:
            raise DataError(f"{path}: row {number} has no item_id; expected item_id,category,title")
        if item_id in items:
            raise DataError(f"{path}: row {number} has item {item_id} again; leave one of them")
        category, title = _text(row.get("category")), _text(row.get("title"))
        items[item_id] = Item(item_id, category, title, attributes(row, columns))
    if not items:
        raise DataError(f"{path}: no items; expected rows of item_id,category,title")
    return items


def _text(value: object) -> str | None:
    return None if value is None or value == "" else str(value)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    try:
        match path.suffix:
            case ".jsonl" | ".ndjson":
                with path.open(encoding="utf-8") as lines:
                    yield from (_json_object(line) for line in lines if line.strip())
            case ".csv" | ".tsv":
                delimiter = "\t" if path.suffix == ".tsv" else ","
                with path.open(encoding="utf-8", newline="") as file:
                    yield from csv.DictReader(file, delimiter=delimiter)
            case ".parquet":
                import polars as pl

                with polars_errors(path):
                    yield from pl.read_parquet(path).iter_rows(named=True)
            case suffix:
                raise DataError(f"{path}: {suffix} is none of .jsonl .ndjson .csv .tsv .parquet")
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read: {error}; give item_id,category,title") from error


def _json_object(line: str) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"{line[:40]!r} is not a JSON object")
    return row
