"""The oracle's reading of messages: which are events, and of which reason the others die."""

import json
from typing import Any

import jsonschema
import pytest

from tests.oracle.faithful import user_of_partition
from tests.oracle.hashing import partition_of
from tests.oracle.message import MAX_TS, MIN_TS, Dead, _fits_schema, read
from tests.oracle.record import Record
from tests.oracle.rules import DEFAULT_RULES
from tests.oracle.score_check import SCHEMAS

USER = user_of_partition(2)
BODY: dict[str, Any] = {"user_id": USER, "item_id": "i1", "action": "click", "ts": MIN_TS}


def record(value: bytes | None = None, key: bytes | None = USER.encode(), **fields: Any) -> Record:
    body = {name: v for name, v in {**BODY, **fields}.items() if v != "absent"}
    return Record(2, 7, 5000, key, json.dumps(body).encode() if value is None else value)


def reason_of(message: Record) -> str:
    with pytest.raises(Dead) as raised:
        read(message, 4, DEFAULT_RULES)
    return raised.value.reason


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (record(b'{"user_id": "' + b"x" * 65_536 + b'"}'), "too_large"),
        (record(b"\xff" * 70_000), "too_large"),
        (record(b'{"user_id": "\xff"}'), "not_utf8"),
        (record(b""), "not_json"),
        (record(b"[" * 20_000 + b"]" * 20_000), "too_large"),
        (record(b"[[[[[[[[["), "too_large"),
        (record(b'[[[[[[[["[\\"["]'), "not_json"),
        (record(b'{"price": NaN}'), "not_json"),
        (record(b'{"user_id": "\\ud800"}'), "not_json"),
        (Record(2, 7, 5000, USER.encode(), None), "not_json"),
        (record(b"[]"), "bad_schema"),
        (record(b'"text"'), "bad_schema"),
        (record(user_id="absent", action="view"), "bad_schema"),
        (record(item_id="absent"), "bad_schema"),
        (record(item_id="x" * 257), "bad_schema"),
        (record(user_id=""), "bad_schema"),
        (record(event_id=17), "bad_schema"),
        (record(price="9.99"), "bad_schema"),
        (record(price=10**400), "bad_schema"),
        (record(quantity=True), "bad_schema"),
        (record(action="view", ts="yesterday"), "unknown_action"),
        (record(ts="absent"), "bad_time"),
        (record(ts="2026-01-01T00:00:00"), "bad_time"),
        (record(ts="2026-02-30T00:00:00Z"), "bad_time"),
        (record(ts="0001-01-01T00:00:00+14:00"), "bad_time"),
        (record(ts=1.79e12), "bad_time"),
        (record(ts=MIN_TS - 1), "bad_time"),
        (record(ts=MAX_TS + 1), "bad_time"),
        (record(ts=True), "bad_time"),
        (record(ts=-1), "bad_time"),
        (record(key=None)._replace(partition=1), "missing_key"),
        (record(key=b""), "key_mismatch"),
        (record(key=b"another"), "key_mismatch"),
    ],
)
def test_the_first_failing_check_names_the_reason(message: Record, reason: str) -> None:
    assert reason_of(message) == reason


def test_record_without_a_key_is_read_in_the_partition_of_its_user() -> None:
    message = record(key=None)

    assert message.partition == partition_of(USER.encode(), 4)
    assert read(message, 4, DEFAULT_RULES).user_id == USER


def test_forget_needs_neither_item_nor_time() -> None:
    event = read(record(action="forget", item_id="absent", ts="absent"), 4, DEFAULT_RULES)

    assert event.action == "forget"


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:01Z", 1_000),
        ("1970-01-01T01:00:01.5+01:00", 1_500),
        ("1969-12-31T23:30:00.25-00:30", 250),
        ("9999-12-31T23:59:59.999Z", MAX_TS),
    ],
)
def test_iso_time_becomes_milliseconds(text: str, ms: int) -> None:
    assert read(record(ts=text), 4, DEFAULT_RULES).ts == ms


def test_cloud_event_headers_win_over_the_body() -> None:
    headers = (("ce_id", b"e9"), ("ce_time", b"1970-01-01T00:00:02Z"), ("trace", b"\xff"))
    event = read(record(event_id="e1")._replace(headers=headers), 4, DEFAULT_RULES)

    assert (event.event_id, event.ts) == ("e9", 2_000)


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (("ce_id", b""), "bad_schema"),
        (("ce_id", b"\xff"), "bad_schema"),
        (("ce_id", b"x" * 257), "bad_schema"),
        (("ce_time", b"\xff"), "bad_time"),
        (("ce_time", b"1000"), "bad_time"),
    ],
)
def test_cloud_event_headers_must_fit_too(header: tuple[str, bytes], reason: str) -> None:
    assert reason_of(record()._replace(headers=(header,))) == reason


SCHEMA = jsonschema.Draft202012Validator(json.loads((SCHEMAS / "event.schema.json").read_text()))
VALUES: list[Any] = [None, "", "x", "x" * 256, "x" * 257, 1, 1.5, True, [], {}, "absent"]


@pytest.mark.parametrize(
    "field", ["user_id", "item_id", "action", "event_id", "session_id", "price", "quantity"]
)
@pytest.mark.parametrize("value", VALUES, ids=lambda v: repr(v)[:12])
@pytest.mark.parametrize("action", ["click", "forget"])
def test_the_check_by_hand_agrees_with_the_schema(field: str, value: Any, action: str) -> None:
    body = {**BODY, "action": action, field: value}
    if value == "absent":
        del body[field]

    assert _fits_schema(body) == SCHEMA.is_valid(body)
