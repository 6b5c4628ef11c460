"""One contract, three readers: what train accepts, replay sends, and the worker takes it."""

import csv
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from model.data.row import COLUMNS, NUMBERS, WANTED_TIME
from model.errors import DataError
from stream.commands.event_log import EventLogError, ReplayLog
from stream.events import Validator
from tests.stream.fakes import NOW_MS, FakeMessage

pl = pytest.importorskip("polars", reason="the extra `train` is not installed")

from model.data.log_files import open_log_file  # noqa: E402 it needs polars

GOOD: dict[str, Any] = {"user_id": "u1", "item_id": "i1", "action": "click", "ts": NOW_MS}
Write = Callable[[Path, list[dict[str, Any]]], Path]


def as_json(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "events.jsonl"
    path.write_text("".join(f"{json.dumps(row, default=str)}\n" for row in rows), encoding="utf-8")
    return path


def as_csv(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "events.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return path


def as_parquet(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "events.parquet"
    pl.DataFrame(rows, infer_schema_length=None).write_parquet(path)
    return path


def check_one_line(error: Exception) -> None:
    """A refusal is one line."""
    assert "\n" not in str(error)


class AnyAction(frozenset[str]):
    """Every name is an action: which ones are is a setting, and not of the contract."""

    def __contains__(self, name: object) -> bool:
        return True


VALIDATOR = Validator(AnyAction(), 65_536, lambda _: 0)


def trained_on(path: Path) -> list[dict[str, Any]] | None:
    """The events that train reads, without what they do not have; None if it refuses the file."""
    try:
        frame = open_log_file(path).frame.collect()
    except DataError as error:
        check_one_line(error)
        return None
    rows = frame.drop("row").to_dicts()
    return [{name: value for name, value in row.items() if value is not None} for row in rows]


def replayed(path: Path) -> list[dict[str, Any]] | None:
    """The events that a worker takes of what replay sends, None if replay refuses the file."""
    try:
        entries = list(ReplayLog.open([path]).entries())
    except EventLogError as error:
        check_one_line(error)
        return None
    found = []
    for offset, entry in enumerate(entries):
        message = FakeMessage(entry.value, entry.user_id.encode(), offset)
        (event,), dead = VALIDATOR.validate([message], 0)
        assert not dead
        sent = json.loads(entry.value)
        taken = {name: sent[name] for name in COLUMNS if sent.get(name) not in (None, "")}
        taken |= {name: float(taken[name]) for name in NUMBERS if name in taken}
        found.append(taken | {"ts": event.ts_ms, "user_id": event.key.decode()})
    return found


def by_item(events: list[dict[str, Any]] | None) -> list[str] | None:
    """The events in an order of their own, as the readers do not keep that of the file."""
    return None if events is None else sorted(json.dumps(e, sort_keys=True) for e in events)


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=6)
values = (
    texts
    | st.sampled_from(["", "7", "x" * 257, "NaN", "19.90", " 1.5", "1_0", "inf", "1e400", "٣"])
    | st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(width=32)
    | st.booleans()
)
times = (
    st.integers(10**11, 4 * 10**12)
    | st.integers(-1, 2**63 - 1)
    | st.datetimes().map(lambda moment: f"{moment.isoformat()}Z")
    | st.sampled_from(["2026-W05-6T12:00Z", "2026-01-31T12:00", "2026-01-31T23:59:60Z"])
    | st.sampled_from(["2026-02-30T12:00:00Z", "2026-01-31 12:00:00+05:30", "1970-01-01T00:00:00Z"])
    | st.sampled_from(["20260131T120000Z", "2026-01-31t12:00:00,5z", "2026-01-31T12:00:00+24:00"])
    | st.sampled_from([str(NOW_MS), "1.79e12", "1788001910", "", "soon", " 1790000000000"])
    | st.floats(0, 1e13)
    | st.integers(10**11, 4 * 10**12).map(float)  # as a data frame writes a column with gaps
    | st.none()
    | st.booleans()
)
row_values = st.fixed_dictionaries(
    {},
    optional={
        "user_id": values,
        "item_id": values,
        "action": values | st.just("view"),
        "ts": times,
        "event_id": values,
        "session_id": values,
        "category": values,
        "price": values,
        "quantity": values,
    },
)


def assert_read_alike(path: Path) -> None:
    trained, sent = by_item(trained_on(path)), by_item(replayed(path))

    assert trained == sent


@pytest.mark.parametrize("write", [as_json, as_csv])
@settings(deadline=None, max_examples=250)
@given(changes=row_values)
@example(changes={"session_id": 1_700_000_000, "category": 3, "price": "19.90"})
@example(changes={"event_id": ""})
@example(changes={"category": 1.5})
@example(changes={"price": 10**400})
@example(changes={"price": True, "quantity": [1]})
@example(changes={"user_id": 2**63})
def test_what_train_accepts_a_worker_takes(write: Write, changes: dict[str, Any]) -> None:
    if write is as_json and any(value != value for value in changes.values()):
        changes = {name: None if value != value else value for name, value in changes.items()}
    with TemporaryDirectory() as folder:
        assert_read_alike(write(Path(folder), [GOOD, GOOD | changes]))


requests = st.lists(st.booleans(), min_size=1, max_size=5)


@pytest.mark.parametrize("write", [as_json, as_csv, as_parquet])
@settings(deadline=None, max_examples=50)
@given(forgets=requests)
@example(forgets=[True, False])
@example(forgets=[True])
def test_a_forget_without_a_time_is_taken_wherever_it_stands(
    write: Write, forgets: list[bool]
) -> None:
    """It is sent at the time of the event before it or, at the beginning, of the first one."""
    rows = [
        {"user_id": f"u{n}", "action": "forget", "item_id": None, "ts": None}
        if is_forget
        else GOOD | {"user_id": f"u{n}", "ts": NOW_MS + n}
        for n, is_forget in enumerate(forgets)
    ]
    with TemporaryDirectory() as folder:
        path = write(Path(folder), rows)
        trained, entries = trained_on(path), list(ReplayLog.open([path]).entries())

    order = [row["user_id"] for row in rows]
    assert trained is not None
    assert sorted(event["user_id"] for event in trained) == order
    assert [entry.user_id for entry in entries] == order
    messages = [FakeMessage(e.value, e.user_id.encode(), n) for n, e in enumerate(entries)]
    events, dead = VALIDATOR.validate(messages, 0)
    assert ([event.action == "forget" for event in events], dead) == (forgets, [])


columns = st.sampled_from(
    [
        *(pl.String, pl.Categorical, pl.Int8, pl.UInt64, pl.Int64, pl.Float64, pl.Float32),
        *(pl.Boolean, pl.Date, pl.Datetime("us"), pl.Datetime("ns", "UTC"), pl.Null),
        *(pl.Decimal(12, 2), pl.Binary, pl.List(pl.Int8), pl.Struct({"a": pl.Int8}), pl.Time),
        *(pl.Duration, pl.Datetime("ms", "Asia/Tokyo")),
    ]
)
NUMBER_OF = {"ts": NOW_MS}


@settings(deadline=None, max_examples=250)
@given(
    name=st.sampled_from(COLUMNS),
    dtype=columns,
    gaps=st.lists(st.booleans(), min_size=2, max_size=2),
)
def test_every_type_of_parquet_is_read_alike(name: str, dtype: Any, gaps: list[bool]) -> None:
    values = [None if gap else value_of(dtype, name) for gap in gaps]
    table = pl.DataFrame([GOOD, GOOD | {"item_id": "i2"}])
    table = table.with_columns(pl.Series(name, values, dtype=dtype))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "events.parquet"
        table.write_parquet(path)

        assert_read_alike(path)


def value_of(dtype: Any, name: str) -> Any:
    """A value of the type that could stand for the field, if one of the type can."""
    from datetime import UTC, date, datetime, time, timedelta

    number = NOW_MS if name == "ts" and dtype != pl.Int8 else 7
    if isinstance(dtype, pl.Datetime):
        return datetime(2026, 1, 31, 12, tzinfo=UTC if dtype.time_zone else None)
    values = {
        pl.Boolean: True,
        pl.Date: date(2026, 1, 31),
        pl.Time: time(12),
        pl.Duration: timedelta(seconds=1),
        pl.Binary: b"x",
    }
    for kind, value in values.items():
        if dtype == kind:
            return value
    if isinstance(dtype, pl.Decimal):
        return Decimal("19.90")
    if isinstance(dtype, pl.List):
        return [1]
    if isinstance(dtype, pl.Struct):
        return {"a": 1}
    return str(number) if dtype in (pl.String, pl.Categorical) else number


@pytest.mark.parametrize("write", [as_json, as_csv, as_parquet])
def test_a_numeric_id_is_the_same_in_every_kind_of_file(tmp_path: Path, write: Write) -> None:
    row = GOOD | {"user_id": 7, "item_id": 12, "session_id": 1_700_000_000, "category": 3}
    expected = row | {"user_id": "7", "item_id": "12", "session_id": "1700000000", "category": "3"}
    path = write(tmp_path, [row | {"price": "19.90"}])

    assert trained_on(path) == replayed(path) == [expected | {"price": 19.9}]


@pytest.mark.parametrize("write", [as_json, as_csv])
def test_a_byte_order_mark_is_skipped(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path, [GOOD])
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())

    assert trained_on(path) == replayed(path) == [GOOD]


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ('{"price": NaN}', "line 2: cannot be read: NaN is no JSON; write null"),
        ('{"price": -Infinity}', "line 2: cannot be read: -Infinity is no JSON; write null"),
        ("{", "line 2: cannot be read: Input data was truncated"),
        ("[1]", "line 2: '[1]' is not a JSON object"),
        ('{"user_id": 1.5, "item_id": "i", "action": "click"}', "line 2: user_id is 1.5, expected"),
        ('{"user_id": "\\ud800"}', "line 2: "),
    ],
)
def test_a_line_that_cannot_be_read_is_named_alike(tmp_path: Path, line: str, fault: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(f"{json.dumps(GOOD)}\n{line}\n", encoding="utf-8")

    with pytest.raises(DataError) as of_train:
        open_log_file(path)
    with pytest.raises(EventLogError) as of_replay:
        ReplayLog.open([path])
    assert fault in str(of_train.value) and fault in str(of_replay.value)


@pytest.mark.parametrize(
    ("ts", "fault"),
    [
        (1_790_000_000.0, "which looks like seconds"),
        (1_790_000_000.5, "which looks like seconds"),
        (1_790_000_000_000.0, "which is no integer"),
        (1_790_000_000_000.5, "which has a fraction"),
        (1_790_000_000_000_000.0, "which looks like microseconds"),
        (1_790_000_000_000_000_000.0, "which looks like nanoseconds"),
        (Decimal("1790000000.25"), "which looks like seconds"),
        (7.0, "which is outside"),
    ],
)
def test_a_column_of_fractions_is_told_what_its_times_look_like(
    tmp_path: Path, ts: float | Decimal, fault: str
) -> None:
    path = as_parquet(tmp_path, [GOOD | {"ts": ts}])

    with pytest.raises(DataError, match=fault) as of_train:
        open_log_file(path)
    with pytest.raises(EventLogError, match=fault) as of_replay:
        ReplayLog.open([path])
    assert str(of_train.value).endswith(WANTED_TIME)
    assert str(of_replay.value).endswith(WANTED_TIME)


def test_a_row_of_a_csv_with_too_many_fields_is_named(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    path.write_text(f"user_id,item_id,action,ts\nu,i,click,{NOW_MS}\nu,i,click,{NOW_MS},x\n")

    with pytest.raises(DataError, match="row 2: more fields than columns"):
        open_log_file(path)
    with pytest.raises(EventLogError, match="row 2: more fields than columns"):
        ReplayLog.open([path])
