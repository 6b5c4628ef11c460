"""The faults: one bad message of every kind that a producer may send."""

import json
from collections.abc import Callable
from typing import Any

from tests.kafka.message import Message
from tests.oracle.hashing import partition_of

MakeBad = Callable[[Message, dict[str, Any], int], Message]
MAX_BYTES = 65_536


def _body(**changes: Any) -> MakeBad:
    """The good body with other fields; "absent" takes one out."""

    def make(good: Message, body: dict[str, Any], n_partitions: int) -> Message:
        changed = {k: v for k, v in {**body, **changes}.items() if v != "absent"}
        return good._replace(key=body["user_id"].encode(), value=json.dumps(changed).encode())

    return make


def _value(value: bytes | None) -> MakeBad:
    return lambda good, body, n_partitions: good._replace(value=value)


def _inside(text: bytes) -> MakeBad:
    """A body that is good up to its last field, an unknown one."""

    def make(good: Message, body: dict[str, Any], n_partitions: int) -> Message:
        return good._replace(value=json.dumps(body).encode()[:-1] + b', "note": ' + text + b"}")

    return make


def _key(change: Callable[[bytes], bytes]) -> MakeBad:
    return lambda good, body, n_partitions: good._replace(key=change(body["user_id"].encode()))


def _header(name: str, value: bytes) -> MakeBad:
    return lambda good, body, n_partitions: good._replace(
        headers=(("traceparent", b"\x00\xff"), (name, value))
    )


def _padded(n_bytes: int) -> MakeBad:
    def make(good: Message, body: dict[str, Any], n_partitions: int) -> Message:
        value = json.dumps({**body, "note": ""}).encode()
        padding = b"x" * (n_bytes - len(value))
        return good._replace(value=value[:-2] + padding + value[-2:])

    return make


def _keyless_elsewhere(good: Message, body: dict[str, Any], n_partitions: int) -> Message:
    home = partition_of(body["user_id"].encode(), n_partitions)
    return good._replace(key=None, partition=(home + 1) % n_partitions)


BAD_BY_REASON: dict[str, list[MakeBad]] = {
    "too_large": [
        _padded(MAX_BYTES + 1),
        _padded(100_000),
        _value(b"[" * 20_000 + b"]" * 20_000),
        _inside(b"[" * 8 + b"]" * 8),  # the ninth level
    ],
    "not_utf8": [_value(b"\xff\xfe{}"), _inside(b'"\xc3("')],
    "not_json": [
        _value(None),
        _value(b""),
        _value(b"{'user_id': 1}"),
        _value(b"\xef\xbb\xbf{}"),
        _inside(b"NaN"),
        _inside(b'"\\ud800"'),
        _inside(b"1} {"),
    ],
    "bad_schema": [
        _value(b"[]"),
        _value(b"null"),
        _value(b"17"),
        _body(user_id="absent"),
        _body(user_id=17),
        _body(user_id=""),
        _body(user_id="x" * 257),
        _body(item_id="absent"),
        _body(item_id=None),
        _body(item_id="x" * 257),
        _body(action="absent"),
        _body(action=""),
        _body(action="x" * 65),
        _body(event_id=17),
        _body(event_id=""),
        _body(price="9.50"),
        _body(quantity=True),
        _header("ce_id", b""),
    ],
    "unknown_action": [_body(action="view"), _body(action="Click"), _body(action="forget ")],
    "bad_time": [
        _body(ts="absent"),
        _body(ts=None),
        _body(ts="yesterday"),
        _body(ts="2026-01-31T12:00:00"),
        _body(ts="1700000000000"),
        _body(ts=1.7e12),
        _body(ts=True),
        _body(ts=-1),
        _body(ts=253_402_300_800_000),
        _body(ts=10**30),
        _body(ts={}),
        _header("ce_time", b"2026-01-31T12:00:00"),
    ],
    "missing_key": [_keyless_elsewhere],
    "key_mismatch": [
        _key(lambda key: b""),
        _key(lambda key: key + b" "),
        _key(lambda key: b"\xff"),
    ],
}


def _spread() -> list[MakeBad]:
    """Every kind, the reasons about equally often, whatever the number of their kinds."""
    longest = max(map(len, BAD_BY_REASON.values()))
    return [kinds[n % len(kinds)] for kinds in BAD_BY_REASON.values() for n in range(longest)]


BAD_MESSAGES: list[MakeBad] = _spread()
