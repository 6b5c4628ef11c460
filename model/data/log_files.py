"""One file of an event log: scanned lazily, its columns under the rules of `model.data.row`."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from model.data.columns import HEAD, head_fault, refusal
from model.data.row import (
    COLUMNS,
    FORGET,
    INTEGER,
    LONGEST,
    NUMBER,
    NUMBERS,
    REQUIRED,
    SPACES,
    TEXTS,
    WANTED_TIME,
    RowFault,
    read_line,
)
from model.data.text_files import (
    check_json_lines,
    is_odd_csv,
    json_lines,
    open_csv,
    rewritten_csv,
    rewritten_json_lines,
)
from model.errors import DataError
from model.times import FIRST_TS_MS, LAST_TS_MS, event_time_ms, fault_of

if TYPE_CHECKING:
    import polars as pl

SUFFIXES = (".jsonl", ".ndjson", ".csv", ".parquet")
LINES = (".jsonl", ".ndjson")
_ROW = "the row of the file"  # as no column of a log is called
# Times that Polars reads as `event_time_ms` does, but many times as fast.
_QUICK_TIME = (
    r"^\d{4}-\d\d-\d\d[T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,6})?"
    r"(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$"
)


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
    import polars as pl

    _check_file(path)
    try:
        _check_header(path)
        is_odd = _is_odd(path)
        with polars_errors(path):
            try:
                frame, rows, forget_requests = _opened(path, is_odd)
            except pl.exceptions.PolarsError:
                if is_odd or path.suffix == ".parquet":
                    raise
                frame, rows, forget_requests = _opened(path, is_odd=True)
    except RowFault as fault:
        raise DataError(f"{path}, {fault}") from fault
    if rows == 0:
        raise DataError(f"{path}: the log is empty; give one with {', '.join(REQUIRED)}")
    return LogFile(frame.select("row", *COLUMNS), rows, forget_requests)


def _opened(path: Path, is_odd: bool) -> "tuple[pl.LazyFrame, int, int]":
    import polars as pl

    raw = _scan(path, is_odd)
    schema = raw.collect_schema()
    frame = raw.select(pl.col(_ROW).alias("row"), *_columns(path, schema), *_wrong_types(schema))
    return frame, *_check(path, frame)


def check_start(path: Path) -> None:
    """Look at a file before the time it takes to read it.

    Raises DataError for one that is missing, empty or of an unknown type, and for missing columns
    in the header of CSV and Parquet.
    """
    _check_file(path)
    try:
        _check_header(path)
    except RowFault as fault:
        raise DataError(f"{path}, {fault}") from fault


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise DataError(f"{path}: no such file; name an event log")
    if path.suffix not in SUFFIXES:
        raise DataError(f"{path}: unknown file type; expected one of {' '.join(SUFFIXES)}")
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; give one with {', '.join(REQUIRED)}")
    if path.suffix != ".parquet":
        with path.open("rb") as file:
            if fault := head_fault(path, file.read(HEAD)):
                raise DataError(f"{path}: {fault}")


def _check_header(path: Path) -> None:
    """Check the columns, where the file names them at its start."""
    if path.suffix == ".csv":
        with open_csv(path) as (names, _):
            _check_columns(path, names)
    if path.suffix == ".parquet":
        import polars as pl

        with polars_errors(path):
            _check_columns(path, list(pl.scan_parquet(path).collect_schema()))


def _check_columns(path: Path, names: list[str]) -> None:
    if fault := refusal(path, names):
        raise DataError(f"{path}: {fault}")


def _is_odd(path: Path) -> bool:
    """Whether Polars would read a text otherwise than Python; raises RowFault."""
    if path.suffix in LINES:
        return check_json_lines(path)
    return path.suffix == ".csv" and is_odd_csv(path)


def _scan(path: Path, is_odd: bool) -> "pl.LazyFrame":
    import polars as pl

    if path.suffix == ".parquet":
        return pl.scan_parquet(path, row_index_name=_ROW)
    if path.suffix == ".csv":
        table = rewritten_csv(path) if is_odd else path
        rows = pl.scan_csv(table, infer_schema=False, row_index_name=_ROW)
        found = pl.exclude(_ROW).fill_null("") != ""
        return rows.filter(pl.any_horizontal(found))  # others are empty lines
    # All as strings: one line may have the time as a number, the next one as a string.
    texts = dict.fromkeys(COLUMNS, pl.String())
    lines = rewritten_json_lines(path) if is_odd else path
    return pl.scan_ndjson(lines, schema=texts, row_index_name=_ROW)


def _columns(path: Path, schema: "pl.Schema") -> "list[pl.Expr]":
    import polars as pl

    texts = {name: _text(name, schema.get(name, pl.Null())) for name in TEXTS}
    numbers = {name: _number(name, schema.get(name, pl.Null())) for name in NUMBERS}
    columns = {**texts, **numbers, "ts": _ts(path, schema["ts"])}
    found_ts = pl.col("ts").cast(pl.String).alias("found_ts")
    return [*(columns[name].alias(name) for name in COLUMNS), found_ts]


def _text(name: str, dtype: "pl.DataType") -> "pl.Expr":
    import polars as pl

    if not _has_texts(dtype) and not dtype.is_integer():
        return pl.lit(None, pl.String())
    text = pl.col(name).cast(pl.String)
    return pl.when(text != "").then(text)


def _has_texts(dtype: "pl.DataType") -> bool:
    import polars as pl

    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _wrong_types(schema: "pl.Schema") -> "list[pl.Expr]":
    """For each column of a type that no text has: whether a row has a value there."""
    import polars as pl

    wrong = []
    for name in TEXTS:
        dtype = schema.get(name, pl.Null())
        found = pl.col(name).is_not_null()
        if dtype in (pl.Int128, pl.UInt128):
            found &= ~pl.col(name).is_between(-(2**63), 2**64 - 1)
        elif _has_texts(dtype) or dtype.is_integer() or dtype == pl.Null:
            continue
        elif dtype.is_float():
            found &= pl.col(name).is_not_nan()
        wrong.append(found.alias(f"wrong_{name}"))
    return wrong


def _number(name: str, dtype: "pl.DataType") -> "pl.Expr":
    """The finite number in a column, or written there as text."""
    import polars as pl

    number = pl.col(name)
    if _has_texts(dtype):
        text = number.cast(pl.String).str.strip_chars(SPACES)
        number = pl.when(text.str.contains(NUMBER)).then(text)
    elif not dtype.is_numeric():
        return pl.lit(None, pl.Float64())
    number = number.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)


def _ts(path: Path, dtype: "pl.DataType") -> "pl.Expr":
    """Integer milliseconds, or null if the row has no readable time."""
    import polars as pl

    ts = pl.col("ts")
    if isinstance(dtype, pl.Datetime):
        if dtype.time_zone is None:
            raise DataError(f"{path}: the times in ts have no zone; write them with one, or as ms")
        return _within(ts.dt.epoch("ms"), 0)
    if _has_texts(dtype):
        ts = ts.cast(pl.String)
        is_number = ts.str.contains(INTEGER)
        number = pl.when(is_number).then(ts).cast(pl.Int64, strict=False)
        iso = pl.when(~is_number).then(ts).map_batches(_iso_ms, return_dtype=pl.Int64)
        return _within(number, FIRST_TS_MS).fill_null(iso)
    if dtype.is_float() or dtype.is_decimal():  # the refusal says what its numbers look like
        return pl.lit(None, pl.Int64)
    if not dtype.is_integer() and dtype != pl.Null:
        raise DataError(f"{path}: ts is {dtype}; expected integer milliseconds or ISO 8601")
    return _within(ts, FIRST_TS_MS)


def _within(ts: "pl.Expr", first_ms: int) -> "pl.Expr":
    import polars as pl

    return pl.when(ts.is_between(first_ms, LAST_TS_MS)).then(ts).cast(pl.Int64)


def _iso_ms(texts: "pl.Series") -> "pl.Series":
    import polars as pl

    # Polars assumes that all texts have the format of the first one; Python reads the rest.
    quick = texts.set(~texts.str.contains(_QUICK_TIME), None)
    quick = quick.str.to_datetime(time_unit="ms", time_zone="UTC", strict=False).dt.epoch("ms")
    quick = quick.set(~quick.is_between(0, LAST_TS_MS), None)
    left = texts.filter(quick.is_null() & texts.is_not_null()).unique()
    slow = {text: ms for text in left if (ms := _slow_iso_ms(text)) is not None}
    if not slow:
        return quick
    return quick.fill_null(texts.replace_strict(slow, default=None, return_dtype=pl.Int64))


def _slow_iso_ms(text: str) -> int | None:
    try:
        return event_time_ms(text)
    except ValueError:
        return None


def _check(path: Path, frame: "pl.LazyFrame") -> tuple[int, int]:
    import polars as pl

    is_request = pl.col("action").eq_missing(FORGET)
    no_ts = pl.col("ts").is_null() & (~is_request | pl.col("found_ts").is_not_null())
    bad = {
        **{name: pl.col(name) for name in frame.collect_schema() if name.startswith("wrong_")},
        "action": pl.col("action").is_null(),
        "user_id": pl.col("user_id").is_null(),
        "item_id": pl.col("item_id").is_null() & ~is_request,
        "ts": no_ts,
        **{f"long_{name}": pl.col(name).str.len_chars() > LONGEST[name] for name in TEXTS},
    }
    counts = {f"{name}_count": where.sum() for name, where in bad.items()}
    first = {f"{name}_row": pl.col("row").filter(where).first() for name, where in bad.items()}
    found = {"found": pl.col("found_ts").filter(no_ts).first()}
    totals = {"rows": pl.len(), "requests": is_request.sum()}
    seen = frame.select(**totals, **counts, **first, **found)
    summary = seen.collect(engine="streaming").row(0, named=True)
    for name in bad:
        if summary[f"{name}_count"]:
            raise DataError(_bad_rows(path, name, summary))
    return summary["rows"], summary["requests"]


def _bad_rows(path: Path, name: str, summary: dict[str, Any]) -> str:
    count, row, found = summary[f"{name}_count"], summary[f"{name}_row"] + 1, summary["found"]
    if name.startswith("wrong_"):
        problem = f"a {name.removeprefix('wrong_')} that is neither a text nor an integer"
    elif name.startswith("long_"):
        field = name.removeprefix("long_")
        problem = f"a {field} of more than {LONGEST[field]} characters"
    elif name == "ts" and found is not None:
        problem = f"no readable time in ts: {found!r}{_fault(found)}; {WANTED_TIME}"
    elif count == summary["rows"]:
        names = _first_names(path) if path.suffix in LINES else REQUIRED
        fault = refusal(path, names) or f"expected {', '.join(REQUIRED)}"
        return f"{path}: no row has {name}; {fault}"
    else:
        problem = f"no {name}; fill it in or remove the rows"
    return f"{path}: {count} of {summary['rows']} rows, first row {row}, have {problem}"


def _first_names(path: Path) -> list[str]:
    """The names in the first line of a JSON-lines file."""
    _, first = next(json_lines(path), (0, b"{}"))
    return list(json.loads(first))


def _fault(found_ts: str) -> str:
    try:
        fault = fault_of(float(found_ts))
    except ValueError:
        return _fault_of_text(found_ts)
    return f", which {fault or 'is no integer'}"


def _fault_of_text(found_ts: str) -> str:
    try:
        event_time_ms(found_ts)
    except ValueError as error:
        return f", {error}"
    return ""


@contextmanager
def polars_errors(path: Path) -> Iterator[None]:
    """Raise DataError, in one line, if Polars cannot read ``path``."""
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, OSError) as error:
        first_line = str(error).strip().partition("\n")[0]
        _check_values(path)
        raise DataError(f"{path}: cannot be read: {first_line}; repair the file") from error


def _check_values(path: Path) -> None:
    """Raise DataError for the first line of JSON that no reader takes, as Polars does not say."""
    if path.suffix in LINES:
        for number, line in json_lines(path):
            try:
                read_line(line)
            except RowFault as fault:
                raise DataError(f"{path}, line {number}: {fault}") from fault
