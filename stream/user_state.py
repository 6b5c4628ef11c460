"""The state of one user: their recent actions, how an event changes it, and its bytes.

The format is specified in docs/state-format.md; golden files in the tests keep every version
readable.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal

import msgspec

from model.sequence import Sequence
from stream.errors import StateError
from stream.events import FORGET, Event
from stream.user_categories import Names, place

_VERSION_1, _VERSION_2 = b"\x01", b"\x02"
_LAST_VERSION = b"\x1f"  # that will ever be: control characters, which no text begins with
_HEADS = (_VERSION_1 + b"\x98", _VERSION_2 + b"\x9a")  # MessagePack arrays of eight and of ten
EVENT_ID_BYTES = 8
_EMPTY_DIGEST = blake2b(digest_size=EVENT_ID_BYTES)
_INTEGER_BYTES = {0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8}  # by MessagePack's first byte

Outcome = Literal["applied", "late", "future", "duplicate", "replayed", "forgotten"]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of lateness, deduplication and expiry; event times are milliseconds."""

    sequence_length: int
    dedupe_window: int
    allowed_lateness_ms: int
    max_future_ms: int
    ttl_ms: int


class UnknownFormat(StateError):
    """State bytes that this version of Lately cannot read."""


class _Columns(msgspec.Struct, array_like=True):
    """The columns of every version."""

    applied_offset: int
    as_of_ms: int
    items: list[str]
    times_ms: list[int]
    action_types: list[str]
    actions: bytes
    event_ids: bytes


class _Version1(_Columns, array_like=True):
    """The MessagePack array after the version byte 1."""

    forgotten: bool


class _Version2(_Columns, array_like=True):
    """The MessagePack array after the version byte 2."""

    category_names: tuple[str, ...]
    category_indices: bytes
    forgotten: bool


_encode = msgspec.msgpack.Encoder().encode
_decode_1 = msgspec.msgpack.Decoder(_Version1).decode
_decode_2 = msgspec.msgpack.Decoder(_Version2).decode


class UserState:
    """One user's recent actions by event time, and the source offset up to which they are applied.

    The columns ``items``, ``times_ms`` and ``actions`` have one entry per action, oldest first;
    an action is an index into ``action_types``, the action names in order of first appearance.
    ``category_names`` and ``category_indices`` are as in ``Sequence``.
    """

    __slots__ = (
        "action_types",
        "actions",
        "applied_offset",
        "as_of_ms",
        "category_indices",
        "category_names",
        "event_ids",
        "forgotten",
        "items",
        "removed",
        "times_ms",
    )

    def __init__(self) -> None:
        self.applied_offset = -1
        self.as_of_ms = 0
        self.items: list[str] = []
        self.times_ms: list[int] = []
        self.action_types: list[str] = []
        self.actions = bytearray()
        self.event_ids: list[bytes] = []
        self.category_names: Names = ()
        self.category_indices = b""
        self.forgotten = False
        self.removed = False  # whether the last ``forget`` removed anything; not stored

    def apply(self, event: Event, rules: Rules) -> Outcome:
        """Fold one event into the state.

        1. At or below the applied offset it is a replay, and changes nothing.
        2. ``forget`` leaves a marker that keeps only the offset, so that replays are recognized.
        3. An ``event_id`` in the window is a producer's duplicate, and changes nothing.
        4. A time too far ahead of the record's own timestamp is clamped to it, if it has one.
        5. After a silence longer than the time to live the user starts over.
        6. An action older than the newest by more than the allowed lateness counts as applied, but
           is not placed, and its ``event_id`` is not remembered, so that it can be sent again; any
           other is placed by event time, after those of the same time.
        """
        if event.offset <= self.applied_offset:
            return "replayed"
        if event.action is FORGET or event.action == FORGET:
            self._forget(event.offset)
            return "forgotten"
        digest = None
        if event.event_id is not None and rules.dedupe_window:
            hashed = _EMPTY_DIGEST.copy()  # blake2b(…) reads its options each time: twice as long
            hashed.update(event.event_id.encode())
            digest = hashed.digest()
            if digest in self.event_ids:
                return "duplicate"

        outcome: Outcome = "applied"
        ts_ms = event.ts_ms
        if ts_ms > event.timestamp_ms + rules.max_future_ms and event.timestamp_ms >= 0:
            ts_ms = event.timestamp_ms
            outcome = "future"
        times_ms = self.times_ms
        newest_ms = times_ms[-1] if times_ms else ts_ms
        if ts_ms - newest_ms > rules.ttl_ms:
            self._clear()
            times_ms, newest_ms = self.times_ms, ts_ms

        self.forgotten = False
        self.applied_offset = event.offset
        self.as_of_ms = ts_ms
        if newest_ms - ts_ms > rules.allowed_lateness_ms:
            return "late"
        if digest is not None:
            self.event_ids.append(digest)
            if len(self.event_ids) > rules.dedupe_window:
                del self.event_ids[: -rules.dedupe_window]
        self._place(event, ts_ms, rules.sequence_length)
        return outcome

    def _place(self, event: Event, ts_ms: int, length: int) -> None:
        item, action, category = event.item, event.action, event.category
        action_types, times_ms = self.action_types, self.times_ms
        at = count = len(times_ms)
        if action not in action_types:
            action_types.append(action)
        action_type = action_types.index(action)
        if not times_ms or ts_ms >= times_ms[-1]:
            self.items.append(item)
            times_ms.append(ts_ms)
            self.actions.append(action_type)
        else:
            at = _first_later(times_ms, ts_ms)
            self.items.insert(at, item)
            times_ms.insert(at, ts_ms)
            self.actions.insert(at, action_type)
        if category or self.category_names:
            self.category_names, self.category_indices = place(
                self.category_names, self.category_indices, category, at, count, length
            )
        if count >= length:
            del self.items[:-length], times_ms[:-length], self.actions[:-length]

    def _clear(self) -> None:
        """Clear everything but the offset: without it a replay would be applied twice."""
        self.items, self.times_ms, self.action_types = [], [], []
        self.actions, self.event_ids = bytearray(), []
        self.category_names, self.category_indices = (), b""

    def _forget(self, offset: int) -> None:
        self.removed = bool(self.items)
        self._clear()
        self.applied_offset, self.as_of_ms, self.forgotten = offset, 0, True

    def sequence(self) -> Sequence:
        """A copy of the actions, as the scorer takes them."""
        times_ms, action_types = self.times_ms, self.action_types
        newest_ms = times_ms[-1] if times_ms else 0
        # Not Sequence(…), which takes twice as long; this runs for every score.
        return Sequence._make(
            (
                tuple(self.items),
                tuple([action_types[index] for index in self.actions]),
                tuple(times_ms),
                max(self.as_of_ms, newest_ms),
                self.category_names,
                self.category_indices,
            )
        )

    @property
    def last_seen_ms(self) -> int:
        """The time of the newest event; 0 without any."""
        return max(self.as_of_ms, self.times_ms[-1]) if self.times_ms else self.as_of_ms

    @classmethod
    def expired(cls, applied_offset: int) -> "UserState":
        """A user who was deleted after a silence longer than the time to live, and starts over."""
        state = cls()
        state.applied_offset = applied_offset
        return state

    def to_bytes(self) -> bytes:
        """Encode in version 2, or in version 1 if no action has a category."""
        if self.category_names:
            return self._to_version_2()
        return _VERSION_1 + _encode(
            (
                self.applied_offset,
                self.as_of_ms,
                self.items,
                self.times_ms,
                self.action_types,
                self.actions,
                b"".join(self.event_ids),
                self.forgotten,
            )
        )

    def _to_version_2(self) -> bytes:
        return _VERSION_2 + _encode(
            (
                self.applied_offset,
                self.as_of_ms,
                self.items,
                self.times_ms,
                self.action_types,
                self.actions,
                b"".join(self.event_ids),
                self.category_names,
                self.category_indices,
                self.forgotten,
            )
        )

    @classmethod
    def from_bytes(cls, value: bytes) -> "UserState":
        """Decode any format ever written; raises UnknownFormat for other bytes."""
        encoded = _decode(value)
        state = cls()
        state.applied_offset = encoded.applied_offset
        state.as_of_ms = encoded.as_of_ms
        state.items = encoded.items
        state.times_ms = encoded.times_ms
        state.action_types = encoded.action_types
        state.actions = bytearray(encoded.actions)
        state.event_ids = list(_split(encoded.event_ids))
        if isinstance(encoded, _Version2):
            state.category_names = encoded.category_names
            state.category_indices = encoded.category_indices
        state.forgotten = encoded.forgotten
        return state


def _decode(value: bytes) -> _Version1 | _Version2:
    version = value[:1]
    if version not in (_VERSION_1, _VERSION_2):
        raise _unknown_version(value)
    fault = "its columns do not fit together"
    try:
        encoded = (_decode_1 if version == _VERSION_1 else _decode_2)(memoryview(value)[1:])
        if _is_whole(encoded):
            return encoded
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        fault = str(error)
    raise UnknownFormat(f"state is not of format {value[0]} ({fault}); is the changelog ours?")


def _unknown_version(value: bytes) -> UnknownFormat:
    return UnknownFormat(
        f"state has format {value[:1].hex() or 'none'}, this version reads 01 and 02; run the "
        "version of Lately that wrote it"
    )


def _is_whole(encoded: _Version1 | _Version2) -> bool:
    length = len(encoded.items)
    return (
        length == len(encoded.times_ms) == len(encoded.actions)
        and max(encoded.actions, default=-1) < len(encoded.action_types)
        and len(encoded.event_ids) % EVENT_ID_BYTES == 0
        and (
            isinstance(encoded, _Version1)
            or (
                length == len(encoded.category_indices)
                and 0 < max(encoded.category_indices, default=0) <= len(encoded.category_names)
            )
        )
    )


def _first_later(times_ms: list[int], ts_ms: int) -> int:
    """The index of the first later action, before which one of this time goes."""
    at = len(times_ms)
    while at and times_ms[at - 1] > ts_ms:
        at -= 1
    return at


def _split(event_ids: bytes) -> Iterable[bytes]:
    for start in range(0, len(event_ids), EVENT_ID_BYTES):
        yield event_ids[start : start + EVENT_ID_BYTES]


def applied_offset_of(value: bytes) -> int:
    """The applied offset, read from the bytes without decoding: the first number of the array.

    -1 for bytes that are no state, which decoding refuses. Raises UnknownFormat for a later
    version: without its offset nobody can tell which value of a user is the newest.
    """
    if value[:2] not in _HEADS or len(value) < 3:
        if _VERSION_2 < value[:1] <= _LAST_VERSION:
            raise _unknown_version(value)
        return -1
    width = _INTEGER_BYTES.get(value[2])
    if width is None:
        return value[2] if value[2] < 0x80 else -1
    return int.from_bytes(value[3 : 3 + width], "big")


def is_forgotten(value: bytes) -> bool:
    """Whether it is a forget marker, without decoding: the flag is the last byte of the array."""
    return value[-1:] == b"\xc3"  # MessagePack true


def last_seen_ms_of(value: bytes) -> int:
    """The time of the newest event in these bytes; raises UnknownFormat as decoding does."""
    return UserState.from_bytes(value).last_seen_ms
