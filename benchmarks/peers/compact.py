"""A user's last actions as compact bytes, as every peer but stock Faust keeps them.

One byte with the number of actions, then the actions, oldest first: the time in eight bytes, then
item and action, each after one byte with its length.
"""

from collections.abc import Iterator

ACTIONS_KEPT = 50
TIME_BYTES = 8

Action = tuple[str, str, int]  # item, action, event time in milliseconds


def append(state: bytes | None, item_id: str, action: str, ts_ms: int) -> bytes:
    """The state with one more action, without the oldest if there are too many."""
    item, kind = item_id.encode(), action.encode()
    time = ts_ms.to_bytes(TIME_BYTES, "big")
    added = b"%b%c%b%c%b" % (time, len(item), item, len(kind), kind)
    if not state:
        return b"\x01" + added
    count, start = state[0], 1
    if count == ACTIONS_KEPT:
        count -= 1
        start += TIME_BYTES
        for _ in ("item", "action"):
            start += 1 + state[start]
    return b"%c%b%b" % (count + 1, state[start:], added)


def actions_of(state: bytes) -> Iterator[Action]:
    """The actions of a state, oldest first."""
    at = 1
    for _ in range(state[0]):
        ts_ms = int.from_bytes(state[at : at + TIME_BYTES], "big")
        at += TIME_BYTES
        names = []
        for _ in ("item", "action"):
            end = at + 1 + state[at]
            names.append(state[at + 1 : end].decode())
            at = end
        yield names[0], names[1], ts_ms
