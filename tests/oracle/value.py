"""The state value: reads formats 1 and 2 of the changelog's values."""

from typing import Any

import msgspec

from tests.oracle.fold import Action, State

COLUMNS = {1: 8, 2: 10}  # by format
DIGEST_BYTES = 8


class BadValue(ValueError):
    """The bytes are not a value of format 1 or 2."""


def decode(raw: bytes) -> State:
    """Read one value, or raise BadValue that says what does not fit."""
    count = COLUMNS.get(raw[0] if raw else 0)
    if count is None:
        raise BadValue(f"first byte is {raw[:1]!r}, expected 1 or 2")
    try:
        fields: Any = msgspec.msgpack.decode(raw[1:])
    except msgspec.DecodeError as error:
        raise BadValue(f"not MessagePack: {error}") from error
    if not isinstance(fields, list) or len(fields) != count:
        raise BadValue(f"expected an array of {count} fields, found {fields!r}")
    offset, as_of_ts, items, times_ms, kinds, actions, event_ids, *categories, forgotten = fields
    if not len(items) == len(times_ms) == len(actions):
        raise BadValue(f"{len(items)} items, {len(times_ms)} times, {len(actions)} actions")
    if len(set(kinds)) != len(kinds) or any(index >= len(kinds) for index in actions):
        raise BadValue(f"actions {list(actions)} do not index the kinds {kinds}")
    if len(event_ids) % DIGEST_BYTES:
        raise BadValue(f"{len(event_ids)} bytes of event ids, not a multiple of {DIGEST_BYTES}")
    if not isinstance(forgotten, bool):
        raise BadValue(f"forgotten is {forgotten!r}, not a boolean")
    names = _categories(*categories) if categories else [""] * len(items)
    if len(names) != len(items):
        raise BadValue(f"{len(items)} items, {len(names)} categories")
    return State(
        applied_offset=offset,
        as_of_ts=as_of_ts,
        actions=tuple(
            Action(ts, item, kinds[index], name)
            for ts, item, index, name in zip(times_ms, items, actions, names, strict=True)
        ),
        event_ids=tuple(
            bytes(event_ids[start : start + DIGEST_BYTES])
            for start in range(0, len(event_ids), DIGEST_BYTES)
        ),
        forgotten=forgotten,
    )


def _categories(names: list[str], indices: bytes) -> list[str]:
    """The category of each action; every name is used, and none is empty or twice there."""
    if len({"", *names}) != len(names) + 1 or set(indices) - {0} != set(range(1, len(names) + 1)):
        raise BadValue(f"indices {list(indices)} do not use all of the categories {names}")
    return [["", *names][index] for index in indices]
