"""The state value: reads format 1 of the changelog's values."""

from typing import Any

import msgspec

from tests.oracle.fold import Action, State

FORMAT = 1
DIGEST_BYTES = 8


class BadValue(ValueError):
    """The bytes are not a value of format 1."""


def decode(raw: bytes) -> State:
    """Read one value, or raise BadValue that says what does not fit."""
    if raw[:1] != bytes([FORMAT]):
        raise BadValue(f"first byte is {raw[:1]!r}, expected {bytes([FORMAT])!r}")
    try:
        fields: Any = msgspec.msgpack.decode(raw[1:])
    except msgspec.DecodeError as error:
        raise BadValue(f"not MessagePack: {error}") from error
    if not isinstance(fields, list) or len(fields) != 8:
        raise BadValue(f"expected an array of 8 fields, found {fields!r}")
    offset, as_of_ts, items, times_ms, kinds, actions, event_ids, forgotten = fields
    if not len(items) == len(times_ms) == len(actions):
        raise BadValue(f"{len(items)} items, {len(times_ms)} times, {len(actions)} actions")
    if len(set(kinds)) != len(kinds) or any(index >= len(kinds) for index in actions):
        raise BadValue(f"actions {list(actions)} do not index the kinds {kinds}")
    if len(event_ids) % DIGEST_BYTES:
        raise BadValue(f"{len(event_ids)} bytes of event ids, not a multiple of {DIGEST_BYTES}")
    if not isinstance(forgotten, bool):
        raise BadValue(f"forgotten is {forgotten!r}, not a boolean")
    return State(
        applied_offset=offset,
        as_of_ts=as_of_ts,
        actions=tuple(
            Action(ts, item, kinds[index])
            for ts, item, index in zip(times_ms, items, actions, strict=True)
        ),
        event_ids=tuple(
            bytes(event_ids[start : start + DIGEST_BYTES])
            for start in range(0, len(event_ids), DIGEST_BYTES)
        ),
        forgotten=forgotten,
    )
