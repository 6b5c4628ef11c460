"""The row: by which rules a row of a file becomes an event (docs/events.md).

The rules are here for one row at a time; `model.data.log_files` applies them to whole columns, with
the same patterns, and a test holds that both come to the same.
"""

import json
import math
import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple

import msgspec
import orjson

from model.times import event_time_ms, fault_of

REQUIRED = ("user_id", "item_id", "action", "ts")
TEXTS = ("user_id", "item_id", "action", "event_id", "session_id", "category")
NUMBERS = ("price", "quantity")
COLUMNS = (*REQUIRED, "event_id", "session_id", "category", *NUMBERS)
LONGEST = dict.fromkeys(TEXTS, 256) | {"action": 64}  # characters
FORGET = "forget"
WANTED_TIME = "expected integer milliseconds since 1970, or ISO 8601 with a zone"
# As regular expressions that Python and Polars understand alike; spaces around a number are cut.
INTEGER = "^-?[0-9]{1,19}$"
NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
SPACES = " \t"
# What a worker takes by default, in bytes and in nested objects and arrays: `stream.settings`.
LARGEST_BYTES, DEEPEST = 65_536, 8
_INTEGER, _NUMBER = re.compile(INTEGER), re.compile(NUMBER)

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
_Text = Annotated[str, msgspec.Meta(max_length=256)] | None


class RowFault(ValueError):
    """A row that no reader takes for an event; the text says what was found, in one line."""


class _Event(msgspec.Struct):
    """What a worker takes as it stands (`stream.events.Payload`)."""

    user_id: _Id
    action: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    item_id: _Id | msgspec.UnsetType = msgspec.UNSET
    ts: int | str | None = None
    event_id: _Id | None = None
    session_id: _Text = None
    category: _Text = None
    price: float | None = None
    quantity: float | None = None


class _Texts(msgspec.Struct):
    """The fields whose types a reader that takes everything for text cannot see."""

    user_id: str | int | None = None
    item_id: str | int | None = None
    action: str | int | None = None
    event_id: str | int | None = None
    session_id: str | int | None = None
    category: str | int | None = None
    ts: str | int | None = None


_decode_event = msgspec.json.Decoder(_Event).decode
_decode_texts = msgspec.json.Decoder(_Texts).decode
_decode_any = msgspec.json.Decoder().decode


def event_of(row: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the wire contract that the row has, as a worker takes them.

    ``ts`` is an integer of milliseconds or a text in ISO 8601. Raises RowFault.
    """
    event: dict[str, Any] = {}
    for name in TEXTS:
        if text := text_of(name, row.get(name)):
            event[name] = text
    is_request = event.get("action") == FORGET
    for name in ("user_id", "action", "item_id"):
        if name not in event and not (is_request and name == "item_id"):
            raise RowFault(f"no {name}; expected {', '.join(REQUIRED)}")
    found = row.get("ts")
    if found is not None and found != "":
        event["ts"] = _time(found)
    elif not is_request:
        raise RowFault(f"no ts; {WANTED_TIME}")
    for name in NUMBERS:
        if (number := _number(row.get(name))) is not None:
            event[name] = number
    return event


def text_of(name: str, found: object) -> str | None:
    """The text, or the digits of an integer; None for no value, which a NaN is too.

    Raises RowFault for anything else, and for a text that is too long for the field.
    """
    if found is None or (isinstance(found, float) and math.isnan(found)):
        return None
    if isinstance(found, int) and not isinstance(found, bool) and -(2**63) <= found < 2**64:
        return str(found)
    if not isinstance(found, str):
        raise RowFault(f"{name} is {str(found)[:40]}, expected a text or an integer of 64 bits")
    if len(found) > LONGEST[name]:
        raise RowFault(f"{name} has {len(found)} characters, at most {LONGEST[name]} are allowed")
    return found


def _time(found: object) -> int | str:
    """A time as a worker takes it."""
    if isinstance(found, datetime):
        found = found.isoformat()
    if isinstance(found, str):
        time: int | str = int(found) if _INTEGER.match(found) else found
    elif isinstance(found, int) and not isinstance(found, bool):
        time = found
    else:
        why = fault_of(float(found)) if isinstance(found, float | Decimal) else None
        why = why or "is no integer"
        raise RowFault(f"no readable time in ts: {str(found)[:40]}, which {why}; {WANTED_TIME}")
    _ms(time)
    return time


def _ms(ts: int | str) -> int:
    if isinstance(ts, int):
        if fault := fault_of(ts):
            raise RowFault(f"no readable time in ts: {ts}, which {fault}; {WANTED_TIME}")
        return ts
    try:
        return event_time_ms(ts)
    except ValueError as error:
        raise RowFault(f"no readable time in ts: {ts[:40]!r}, {error}; {WANTED_TIME}") from None


def _number(found: object) -> float | None:
    """A finite number, also one that is written as text; None for anything else."""
    if isinstance(found, str):
        text = found.strip(SPACES)
        number = float(text) if _NUMBER.match(text) else math.nan
    elif isinstance(found, int | float | Decimal) and not isinstance(found, bool):
        try:
            number = float(found)
        except OverflowError:
            raise RowFault("a number is too large for 64 bits") from None
    else:
        return None
    return number if math.isfinite(number) else None


class Entry(NamedTuple):
    """One event of a log: its time, None for a ``forget`` without one, its user, and its JSON."""

    ts_ms: int | None
    user_id: str
    value: bytes


def read_line(line: bytes) -> Entry:
    """The event of a line of JSON, which stays as it is if a worker takes it; raises RowFault."""
    if not line.isascii():
        _check_utf_8(line)
    with suppress(msgspec.DecodeError, RowFault, RecursionError):
        event = _decode_event(line)
        is_whole = event.action == FORGET or event.item_id is not msgspec.UNSET
        if is_whole and _fits(line) and (event.ts is not None or event.action == FORGET):
            ts_ms = None if event.ts is None else _ms(event.ts)
            return Entry(ts_ms, event.user_id, line)
    return read_row(_object(line))


def _fits(message: bytes) -> bool:
    """Whether a worker takes a message of this size and depth."""
    if len(message) > LARGEST_BYTES:
        return False
    if message.count(b"{") + message.count(b"[") <= DEEPEST:
        return True
    return _depth(_object(message)) <= DEEPEST


def _depth(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    if not isinstance(value, list):
        return 0
    return 1 + max(map(_depth, value), default=0)


def read_row(row: Mapping[str, Any]) -> Entry:
    """The event of a row, with the row's other fields as they are; raises RowFault.

    Without them if a worker would not take the whole, which it does not need.
    """
    event = event_of(row)
    others = {name: value for name, value in row.items() if name not in COLUMNS}
    try:
        value = orjson.dumps(others | event, default=str)
        is_fit = _fits(value)
    except (TypeError, RowFault):  # an integer of more than 64 bits, say
        is_fit = False
    if not is_fit:
        value = orjson.dumps(event)
    ts_ms = _ms(event["ts"]) if "ts" in event else None
    return Entry(ts_ms, event["user_id"], value)


def check_types(line: bytes) -> None:
    """Check what is lost when every value of a line is read as text; raises RowFault."""
    if not line.isascii():
        _check_utf_8(line)
    try:
        _decode_texts(line)
    except (msgspec.DecodeError, RecursionError):
        row = _object(line)
        for name in TEXTS:
            text_of(name, row.get(name))
        if row.get("ts") is not None:
            _time(row["ts"] or None)


def _check_utf_8(line: bytes) -> None:
    try:
        line.decode()
    except UnicodeDecodeError as error:
        raise RowFault(f"byte {error.start} is not UTF-8") from None


def _object(line: bytes) -> dict[str, Any]:
    try:
        row = _decode_any(line)
    except RecursionError:
        raise RowFault("is nested too deep; repair the line") from None
    except msgspec.DecodeError as error:
        constant = _constant_in(line)
        why = f"{constant} is no JSON; write null" if constant else f"{error}; repair the line"
        raise RowFault(f"cannot be read: {why}") from None
    if not isinstance(row, dict):
        raise RowFault(f"{line[:40].decode(errors='replace')!r} is not a JSON object")
    return row


def _constant_in(line: bytes) -> str | None:
    """The first of the constants that Python's json writes, and JSON does not have."""
    found: list[str] = []
    try:
        json.loads(line, parse_constant=found.append)
    except ValueError:
        return None
    return found[0] if found else None
