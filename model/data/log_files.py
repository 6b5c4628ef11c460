"""One file of an event log: scanned lazily, with its columns normalised and checked."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from model.errors import DataError
from model.times import FIRST_TS_MS, LAST_TS_MS, fault_of, parse_iso_ms

if TYPE_CHECKING:
    import polars as pl

REQUIRED = ("user_id", "item_id", "action", "ts")
TEXTS = ("user_id", "item_id", "action", "event_id", "session_id", "category")
NUMBERS = ("price", "quantity")
COLUMNS = (*REQUIRED, "event_id", "session_id", "category", *NUMBERS)
SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
FORGET = "forget"
WANTED_TIME = "expected integer milliseconds since 1970, or ISO 8601 with a zone"


class LogFile(NamedTuple):
    """A checked file; ``frame`` has ``row``, counted from 0, and all of ``COLUMNS``."""

    frame: "pl.LazyFrame"
    rows: int
    forget_requests: int  # rows with the action ``forget``


def open_log_file(path: Path) -> LogFile:
    """Scan the file once to check it.

    Raises DataError for a file that is missing, empty, malformed or of an unknown type, for
    missing columns, and for a row without a user, an item, an action or a readable time.
    """
    with polars_errors(path):
        raw = _scan(path)
        frame = raw.select("row", *_columns(path, raw.collect_schema()))
        rows, forget_requests = _check(path, frame)
    if rows == 0:
        raise DataError(f"{path}: the log is empty; give one with {', '.join(REQUIRED)}")
    return LogFile(frame.drop("found_ts"), rows, forget_requests)


def _scan(path: Path) -> "pl.LazyFrame":
    import polars as pl

    if not path.is_file():
        raise DataError(f"{path}: no such file; name an event log")
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: unknown file type; expected one of {' '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; give one with {', '.join(REQUIRED)}")
    if path.suffix == ".parquet":
        return pl.scan_parquet(path, row_index_name="row")
    if path.suffix == ".csv":
        return pl.scan_csv(path, infer_schema=False, row_index_name="row")
    # All as strings: one line may have the time as a number, the next one as a string.
    texts = dict.fromkeys(COLUMNS, pl.String())
    return pl.scan_ndjson(path, schema=texts, row_index_name="row")


def _columns(path: Path, schema: "pl.Schema") -> "list[pl.Expr]":
    import polars as pl

    missing = [name for name in REQUIRED if name not in schema]
    if missing:
        raise DataError(
            f"{path}: no column {', '.join(missing)}; expected {', '.join(REQUIRED)}; "
            "`lately convert` writes such a log from other formats"
        )

    def column(name: str) -> "pl.Expr":
        return pl.col(name) if name in schema else pl.lit(None).alias(name)

    found_ts = pl.col("ts").cast(pl.String).alias("found_ts")
    texts = {name: column(name).cast(pl.String) for name in TEXTS}
    numbers = {name: column(name).cast(pl.Float64, strict=False).fill_nan(None) for name in NUMBERS}
    columns = {**texts, **numbers, "ts": _ts(path, schema["ts"]).alias("ts")}
    return [*(columns[name] for name in COLUMNS), found_ts]


def _ts(path: Path, dtype: "pl.DataType") -> "pl.Expr":
    """Integer milliseconds, or null if the row has no readable time."""
    import polars as pl

    ts = pl.col("ts")
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            raise DataError(f"{path}: the times in ts have no zone; write them with one, or as ms")
        return _within(ts.dt.epoch("ms"), 0)
    if dtype == pl.String:
        number = ts.cast(pl.Int64, strict=False)
        iso = _within(ts.map_batches(_iso_ms, return_dtype=pl.Int64), 0)
        return pl.when(number.is_null()).then(iso).otherwise(_within(number, FIRST_TS_MS))
    if not dtype.is_integer():
        raise DataError(f"{path}: ts is {dtype}; expected integer milliseconds or ISO 8601")
    return _within(ts, FIRST_TS_MS)


def _within(ts: "pl.Expr", first_ms: int) -> "pl.Expr":
    import polars as pl

    return pl.when(ts.is_between(first_ms, LAST_TS_MS)).then(ts).cast(pl.Int64)


def _iso_ms(texts: "pl.Series") -> "pl.Series":
    import polars as pl

    # Polars assumes that all texts have the format of the first one, and that a time without a
    # zone is UTC; Python parses the rest.
    zoned = texts.set(~texts.str.contains(r":\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$"), None)
    quick = zoned.str.to_datetime(time_unit="ms", time_zone="UTC", strict=False).dt.epoch("ms")
    left = texts.filter(quick.is_null() & texts.is_not_null()).unique()
    slow = {text: ms for text in left if (ms := _slow_iso_ms(text)) is not None}
    if not slow:
        return quick
    return quick.fill_null(texts.replace_strict(slow, default=None, return_dtype=pl.Int64))


def _slow_iso_ms(text: str) -> int | None:
    try:
        return parse_iso_ms(text)
    except ValueError:
        return None


def _check(path: Path, frame: "pl.LazyFrame") -> tuple[int, int]:
    import polars as pl

    is_request = pl.col("action").eq_missing(FORGET)
    empty = {name: pl.col(name).is_null() | (pl.col(name) == "") for name in TEXTS}
    bad = {
        "action": empty["action"],
        "user_id": empty["user_id"],
        "item_id": empty["item_id"] & ~is_request,
        "ts": pl.col("ts").is_null() & (~is_request | pl.col("found_ts").is_not_null()),
    }
    counts = {f"{name}_count": where.sum() for name, where in bad.items()}
    first = {f"{name}_row": pl.col("row").filter(where).first() for name, where in bad.items()}
    found = {"found": pl.col("found_ts").filter(bad["ts"]).first()}
    totals = {"rows": pl.len(), "requests": is_request.sum()}
    seen = frame.select(**totals, **counts, **first, **found)
    summary = seen.collect(engine="streaming").row(0, named=True)
    for name in bad:
        if summary[f"{name}_count"]:
            raise DataError(_bad_rows(path, name, summary))
    return summary["rows"], summary["requests"]


def _bad_rows(path: Path, name: str, summary: dict[str, Any]) -> str:
    count, row = summary[f"{name}_count"], summary[f"{name}_row"] + 1
    found = summary["found"]
    if count == summary["rows"] and (name != "ts" or found is None):
        return f"{path}: no row has {name}; expected {', '.join(REQUIRED)}"
    if name == "ts" and found is not None:
        problem = f"no readable time in ts: {found!r}{_fault(found)}; {WANTED_TIME}"
    else:
        problem = f"no {name}; fill it in or remove the rows"
    return f"{path}: {count} of {summary['rows']} rows, first row {row}, have {problem}"


def _fault(found_ts: str) -> str:
    try:
        fault = fault_of(float(found_ts))
    except ValueError:
        return ""
    return f", which {fault}" if fault else ""


@contextmanager
def polars_errors(path: Path) -> Iterator[None]:
    """Raise DataError, in one line, if Polars cannot read ``path``."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        where = _malformed_line(path)
        raise DataError(f"{path}{where}: cannot be read: {first_line}; repair the file") from error


def _malformed_line(path: Path) -> str:
    """The first malformed line of a JSON-lines file, as ``, line 3``; Polars does not give it."""
    if path.suffix not in (".jsonl", ".ndjson"):
        return ""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line) if line.strip() else {}
            except ValueError:
                return f", line {number}"
            if not isinstance(row, dict):
                return f", line {number}"
    return ""
