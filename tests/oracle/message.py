"""The message: decides whether a record of the events topic is an event, or dead and why."""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, NoReturn

from tests.oracle.hashing import partition_of
from tests.oracle.record import Record
from tests.oracle.rules import Rules

Reason = Literal[
    "not_utf8",
    "not_json",
    "bad_schema",
    "missing_key",
    "key_mismatch",
    "too_large",
    "bad_time",
    "unknown_action",
    "unscorable",
]

FORGET = "forget"
MIN_TS = 100_000_000_000  # smaller numbers are seconds
MAX_TS = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z
MAX_DEPTH = 8  # the object of the message is the first
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# ISO 8601, extended or basic, to the minute or finer, with a zone; "t", "z" and " " by RFC 3339.
_ZONED = re.compile(
    r"(?P<year>\d{4})(?P<dash>-?)(?P<month>\d\d)(?P=dash)(?P<day>\d\d)[Tt ]"
    r"(?P<hour>\d\d)(?P<colon>:?)(?P<minute>\d\d)"
    r"((?P=colon)(?P<second>\d\d)([.,](?P<fraction>\d+))?)?"
    r"([Zz]|(?P<sign>[+-])(?P<hours>[01]\d|2[0-3])(:?(?P<minutes>[0-5]\d))?)",
    re.ASCII,
)


class Event(NamedTuple):
    """A valid message. ``ts`` is as stated, not yet clamped; a forget may have none (-1)."""

    user_id: str
    item_id: str
    action: str
    ts: int
    event_id: str | None
    category: str | None = None


class Dead(Exception):
    """The message can never succeed; ``args[0]`` is the reason."""

    @property
    def reason(self) -> Reason:
        """Why, in the word of the contract."""
        reason: Reason = self.args[0]
        return reason


def read(record: Record, n_partitions: int, rules: Rules) -> Event:
    """Read a record, or raise Dead; the first check that fails names the reason."""
    body = _object(record.value, rules)
    headers = dict(record.headers)
    user_id, action = body["user_id"], body["action"]
    event_id = _event_id(headers.get("ce_id"), body.get("event_id"))
    if action not in (*rules.actions, FORGET):
        raise Dead("unknown_action")
    ts = -1 if action == FORGET else _time(headers.get("ce_time"), body.get("ts"))
    _check_key(record, user_id.encode(), n_partitions)
    return Event(user_id, body.get("item_id") or "", action, ts, event_id, body.get("category"))


def _object(value: bytes | None, rules: Rules) -> dict[str, Any]:
    if value is None:
        raise Dead("not_json")
    if len(value) > rules.max_message_bytes:
        raise Dead("too_large")
    try:
        text = value.decode()
    except UnicodeDecodeError:
        raise Dead("not_utf8") from None
    if _depth(text) > MAX_DEPTH:
        raise Dead("too_large")
    try:
        body = json.loads(text, parse_constant=_refuse)
        # A lone surrogate (\ud800) is no character: such text has no UTF-8 to be a key of.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise Dead("not_json") from None
    if not isinstance(body, dict) or not _fits_schema(body):
        raise Dead("bad_schema")
    return body


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _depth(text: str) -> int:
    # By the brackets outside of texts, in whatever is UTF-8: it is found before JSON is looked for.
    deepest = depth = 0
    in_text = escaped = False
    for character in text:
        if in_text:
            in_text = escaped or character != '"'
            escaped = character == "\\" and not escaped
        else:
            in_text = character == '"'
            depth += (character in "[{") - (character in "]}")
            deepest = max(deepest, depth)
    return deepest


def _fits_schema(body: dict[str, Any]) -> bool:
    # event.schema.json, but for ts, whose faults have a reason of their own.
    needed = (
        ["user_id", "action"] if body.get("action") == FORGET else ["user_id", "action", "item_id"]
    )
    return (
        all(name in body for name in needed)
        and _is_text(body["user_id"], 1, 256)
        and _is_text(body["action"], 1, 64)
        and ("item_id" not in body or _is_text(body["item_id"], 1, 256))
        and (body.get("event_id") is None or _is_text(body["event_id"], 1, 256))
        and all(
            body.get(k) is None or _is_text(body[k], 0, 256) for k in ("session_id", "category")
        )
        and all(body.get(k) is None or _is_number(body[k]) for k in ("price", "quantity"))
    )


def _is_text(value: object, shortest: int, longest: int) -> bool:
    return isinstance(value, str) and shortest <= len(value) <= longest


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) <= sys.float_info.max  # 1e999 is JSON, and no number that anybody can hold


def _event_id(header: bytes | None, field: str | None) -> str | None:
    if header is None:
        return field
    text = header.decode(errors="replace")
    if not _is_text(text, 1, 256) or text.encode() != header:
        raise Dead("bad_schema")
    return text


def _time(header: bytes | None, field: object) -> int:
    if header is not None:
        return _iso_ms(header.decode(errors="replace"))
    if isinstance(field, str):
        return _iso_ms(field)
    if isinstance(field, bool) or not isinstance(field, int) or not MIN_TS <= field <= MAX_TS:
        raise Dead("bad_time")
    return field


def _iso_ms(text: str) -> int:
    found = _ZONED.fullmatch(text)
    if not found:
        raise Dead("bad_time")
    parts = ("year", "month", "day", "hour", "minute", "second")
    year, month, day, hour, minute, second = (int(found[part] or 0) for part in parts)
    try:
        moment = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        if found["sign"]:
            offset = timedelta(hours=int(found["hours"]), minutes=int(found["minutes"] or 0))
            moment = moment - offset if found["sign"] == "+" else moment + offset
    except (ValueError, OverflowError):
        raise Dead("bad_time") from None
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    ms = seconds * 1000 + int((found["fraction"] or "0")[:3].ljust(3, "0"))
    if not 0 <= ms <= MAX_TS:
        raise Dead("bad_time")
    return ms


def _check_key(record: Record, user_key: bytes, n_partitions: int) -> None:
    if record.key is None:
        if record.partition != partition_of(user_key, n_partitions):
            raise Dead("missing_key")
    elif record.key != user_key:
        raise Dead("key_mismatch")
