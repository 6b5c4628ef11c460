"""The fuzz: messages that break the contract, or nearly, in many ways; each from one seed."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

from tests.kafka.message import BinaryName, Message

Kind = Callable[[Random, Message], Message]


def fuzzed(random: Random, good: Message) -> Message:
    """Break a message in one of the ways."""
    return random.choice(KINDS)(random, good)


def _value(make: Callable[[Random, bytes], bytes | None]) -> Kind:
    return lambda random, good: good._replace(value=make(random, good.value or b"{}"))


def _key(make: Callable[[Random, bytes], bytes | None]) -> Kind:
    return lambda random, good: good._replace(key=make(random, good.key or b"k"))


def _header(name: str, value: Callable[[Random], bytes | None]) -> Kind:
    return lambda random, good: good._replace(headers=(*good.headers, (name, value(random))))


def _field(change: Callable[[Random], dict[str, Any]]) -> Kind:
    """Other fields in the body; a message that has no body gets one."""

    def make(random: Random, good: Message) -> Message:
        try:
            body = json.loads(good.value or b"")
        except (ValueError, RecursionError):
            body = {}
        body = body if isinstance(body, dict) else {}
        return good._replace(value=json.dumps({**body, **change(random)}).encode())

    return make


def _flip(random: Random, value: bytes) -> bytes:
    changed = bytearray(value or b"\0")
    for _ in range(random.randint(1, 4)):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def _nested(random: Random, value: bytes) -> bytes:
    depth = random.choice((6, 7, 8, 100, 20_000))  # within the event, which is one level
    return value[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"


def _text(random: Random) -> str:
    alphabet = 'aé🛒\x00\n"\\\u202e\ufeff'
    return "".join(random.choice(alphabet) for _ in range(random.choice((0, 1, 255, 256, 257))))


def _odd(random: Random) -> Any:
    return random.choice([None, True, 0, -1, 1e308, [], {}, [[]], "", " ", "null", {"a": 1}])


KINDS: list[Kind] = [
    _value(lambda random, value: None),
    _value(lambda random, value: b""),
    _value(lambda random, value: random.randbytes(random.randint(1, 200))),
    _value(lambda random, value: value[: random.randrange(len(value) + 1)]),
    _value(lambda random, value: value + random.choice((b"}", b",", b"\0", b"{}", value))),
    _value(_flip),
    _value(_nested),
    _value(lambda random, value: b"\xef\xbb\xbf" + value),
    _value(lambda random, value: value.decode(errors="replace").encode("utf-16")),
    _value(lambda random, value: b" \n\t" * 50 + value + b"\r\n"),
    _value(
        lambda random, value: value[:-1] + b',"ts":%d}' % 10 ** random.choice((18, 19, 30, 400))
    ),
    _value(lambda random, value: value[:-1] + b',"price":1e999}'),
    _value(lambda random, value: value[:-1] + b',"price":NaN}'),
    _value(lambda random, value: value[:-1] + b',"price":-Infinity}'),
    _value(lambda random, value: value[:-1] + b',"item_id":"\\ud83d"}'),
    _value(lambda random, value: value[:-1] + b',"item_id":"\xed\xa0\x80"}'),
    _value(lambda random, value: b"[" + value + b"]"),
    _value(lambda random, value: json.dumps(value.decode(errors="replace")).encode()),
    _value(lambda random, value: b"\0\0\0\0\x07" + value),
    _value(lambda random, value: value.replace(b'"', b"'")),
    _field(lambda random: {"user_id": _odd(random)}),
    _field(lambda random: {"user_id": _text(random)}),
    _field(lambda random: {"item_id": _odd(random)}),
    _field(lambda random: {"item_id": _text(random)}),
    _field(lambda random: {"action": _odd(random)}),
    _field(lambda random: {"ts": _odd(random)}),
    _field(lambda random: {"event_id": _odd(random)}),
    _field(lambda random: {"price": _odd(random), "quantity": _odd(random)}),
    _field(lambda random: {"session_id": _text(random), "category": _text(random)}),
    _key(lambda random, key: None),
    _key(lambda random, key: b""),
    _key(lambda random, key: random.randbytes(random.randint(1, 300))),
    _key(lambda random, key: key + b"\0"),
    _header("ce_id", lambda random: random.randbytes(random.randint(0, 20))),
    _header(BinaryName("x"), lambda random: random.randbytes(3)),
    _header("x", lambda random: None),
    _header(
        "ce_time", lambda random: random.choice((b"", b"now", b"2026-13-01T00:00:00Z", b"\xff"))
    ),
]
