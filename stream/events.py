"""Events: what a message must be, decoded and validated a whole list at once.

A message is the record as Kafka gave it; an event is what it says, once it is found to be true
to the wire contract. A message that is not becomes a dead letter with a reason, and never fails
its neighbours.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal, NamedTuple, Protocol

import msgspec

FORGET = "forget"
MAX_TS_MS = 253_402_300_799_999  # the last millisecond of the year 9999
MAX_DEPTH = 8  # objects and arrays within each other, the message itself being the first
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
# ISO 8601, calendar date and time of day with a zone; `fromisoformat` alone takes more than that.
_ISO_8601 = re.compile(
    r"\d{4}-?\d{2}-?\d{2}[Tt ]\d{2}:?\d{2}(:?\d{2}([.,]\d+)?)?"
    r"([Zz]|[+-]([01]\d|2[0-3])(:?[0-5]\d)?)?",
    re.ASCII,
)

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

# Texts, closed or not, and brackets outside of them.
_TEXT_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[][{}]', re.DOTALL)

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Message(Protocol):
    """A Kafka record: the part of aiokafka's ConsumerRecord that we read."""

    offset: int
    timestamp: int  # milliseconds since the epoch
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Payload(msgspec.Struct, frozen=True, gc=False):
    """The JSON of a message, its types checked by the parser itself."""

    user_id: _Id
    action: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    item_id: _Id | msgspec.UnsetType = msgspec.UNSET
    ts: int | str | None = None
    event_id: _Id | None = None
    session_id: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    category: Annotated[str, msgspec.Meta(max_length=256)] | None = None
    price: float | None = None
    quantity: float | None = None


class PayloadWithBadTime(Payload, frozen=True, gc=False):
    """A payload whose ``ts`` is of no type that a time could have."""

    ts: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One valid action of one user, or the wish to be forgotten (``item`` is then empty)."""

    key: bytes
    offset: int
    timestamp_ms: int  # of the Kafka record: the clock against which the future is measured
    item: str
    action: str
    ts_ms: int
    event_id: str | None
    message: Message


class DeadLetter(NamedTuple):
    """A message that can never succeed, and why."""

    message: Message
    reason: Reason
    exception: str
    text: str


class Invalid(Exception):
    """A message breaks the wire contract; carries the reason of the dead letter."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Validator:
    """The rules a message must keep to become an event.

    ``partition_of`` is the partitioner of the events topic: key → partition.
    """

    actions: frozenset[str]
    max_message_bytes: int
    partition_of: Callable[[bytes], int]

    def validate(
        self, messages: Sequence[Message], partition: int
    ) -> tuple[list[Event], list[DeadLetter]]:
        """Turn the messages of one partition into events and dead letters, both in offset order."""
        try:
            values = [message.value for message in messages]
            # One look at the whole list: whatever is unusual about it takes the slow way.
            if max(map(len, values)) <= self.max_message_bytes:  # type: ignore[arg-type]
                _check_texts(values)  # type: ignore[arg-type]
                payloads = [_decode(value) for value in values]  # type: ignore[arg-type]
                return self._plain(payloads, messages), []
        except (Invalid, TypeError, ValueError):
            pass
        return self._one_by_one(messages, partition)

    def _plain(self, payloads: list[Payload], messages: Sequence[Message]) -> list[Event]:
        """The common case: every message is an event, keyed, without headers or text times."""
        actions = self.actions
        events = []
        for payload, message in zip(payloads, messages, strict=True):
            ts = payload.ts
            key = message.key
            if (
                message.headers
                or type(ts) is not int
                or not 0 <= ts <= MAX_TS_MS
                or payload.item_id is msgspec.UNSET
                or payload.action not in actions
                or key != payload.user_id.encode()
            ):
                raise Invalid("bad_schema", "needs the slow way")
            events.append(
                Event(
                    key,
                    message.offset,
                    message.timestamp,
                    payload.item_id,
                    payload.action,
                    ts,
                    payload.event_id,
                    message,
                )
            )
        return events

    def _one_by_one(
        self, messages: Sequence[Message], partition: int
    ) -> tuple[list[Event], list[DeadLetter]]:
        events: list[Event] = []
        dead: list[DeadLetter] = []
        for message in messages:
            try:
                events.append(self._event(message, partition))
            except Invalid as error:
                cause = error.__cause__ or error
                dead.append(DeadLetter(message, error.reason, type(cause).__name__, str(error)))
        return events, dead

    def _event(self, message: Message, partition: int) -> Event:
        payload = _parse(message.value, self.max_message_bytes)
        forget = payload.action == FORGET
        item_id = payload.item_id
        if item_id is msgspec.UNSET and not forget:
            raise Invalid("bad_schema", "item_id is missing")
        headers = dict(message.headers)
        event_id = _event_id(payload.event_id, headers.get("ce_id"))
        if not forget and payload.action not in self.actions:
            known = ", ".join(sorted(self.actions))
            raise Invalid("unknown_action", f"action is none of {known} or {FORGET}")
        ts_ms = message.timestamp if forget else _time(payload.ts, headers.get("ce_time"))
        key = self._key(message.key, payload.user_id, partition)
        item = "" if forget or item_id is msgspec.UNSET else item_id
        return Event(
            key, message.offset, message.timestamp, item, payload.action, ts_ms, event_id, message
        )

    def _key(self, key: bytes | None, user_id: str, partition: int) -> bytes:
        expected = user_id.encode()
        if key is None:
            if self.partition_of(expected) != partition:
                raise Invalid(
                    "missing_key", "no key, and user_id hashes to another partition; send a key"
                )
        elif key != expected:
            raise Invalid("key_mismatch", "the key is not the user_id as UTF-8")
        return expected


def _check_texts(values: Sequence[bytes]) -> None:
    """Raise ValueError where a value is no UTF-8, for the parser skips what it ignores, or deep."""
    together = b"".join(values)
    if not together.isascii():
        for value in values:
            value.decode()
    # An event has one bracket, so a deep one shows in the sum.
    if _brackets(together) >= len(values) + MAX_DEPTH and any(
        _brackets(value) > MAX_DEPTH for value in values
    ):
        raise ValueError("maybe nested too deep")


def _brackets(value: bytes) -> int:
    return value.count(b"{") + value.count(b"[")


_decode = msgspec.json.Decoder(Payload).decode
_read_syntax = msgspec.json.Decoder(msgspec.Raw).decode  # whatever types and numbers are in it
_decode_but_time = msgspec.json.Decoder(PayloadWithBadTime).decode


def _parse(value: bytes | None, max_bytes: int) -> Payload:
    """Decode one value, or raise Invalid with the first thing that is wrong with it."""
    if value is None:
        raise Invalid("not_json", "the value is null")
    if len(value) > max_bytes:
        raise Invalid("too_large", f"{len(value)} bytes, the limit is {max_bytes}")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise Invalid("not_utf8", f"byte {error.start} is not UTF-8") from error
    _refuse_depth(text)
    try:
        return _decode(value)
    except msgspec.DecodeError:
        _refuse_what_is_not_json(value, text)
    try:
        return _decode_but_time(value)
    except msgspec.ValidationError as error:
        raise Invalid("bad_schema", str(error)) from error


def _refuse_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for match in _TEXT_OR_BRACKET.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match[0], 0)
        if depth > MAX_DEPTH:
            raise Invalid("too_large", f"nested more than {MAX_DEPTH} levels deep")


def _refuse_what_is_not_json(value: bytes, text: str) -> None:
    if text.startswith("\ufeff"):
        raise Invalid("not_json", "starts with a byte order mark")
    try:
        _read_syntax(value)
    except msgspec.DecodeError as error:
        raise Invalid("not_json", str(error)) from error


def _time(ts: int | str | None, ce_time: bytes | None) -> int:
    """Milliseconds since the epoch; a CloudEvents time wins over the body's."""
    if ce_time is not None:
        return _iso_ms(ce_time.decode("utf-8", "replace"))
    if type(ts) is int:
        if not 0 <= ts <= MAX_TS_MS:
            raise Invalid("bad_time", f"ts is outside 0..{MAX_TS_MS} ms")
        return ts
    if isinstance(ts, str):
        return _iso_ms(ts)
    found = "is missing" if ts is None else "is neither an integer nor a text"
    raise Invalid("bad_time", f"ts {found}; send milliseconds since the epoch")


def _iso_ms(text: str) -> int:
    if not _ISO_8601.fullmatch(text):
        raise Invalid("bad_time", "not an ISO 8601 time")
    try:
        time = datetime.fromisoformat(text.upper())
        if time.tzinfo is None:
            raise Invalid("bad_time", "an ISO 8601 time needs a zone, as in 2026-01-31T12:00:00Z")
        ts_ms = (time - _EPOCH) // _MILLISECOND
    except (ValueError, OverflowError) as error:
        raise Invalid("bad_time", "not an ISO 8601 time") from error
    if not 0 <= ts_ms <= MAX_TS_MS:
        raise Invalid("bad_time", f"ts is outside 0..{MAX_TS_MS} ms")
    return ts_ms


def _event_id(event_id: str | None, ce_id: bytes | None) -> str | None:
    """The CloudEvents id wins over the body's event_id."""
    if ce_id is None:
        return event_id
    try:
        text = ce_id.decode()
    except UnicodeDecodeError as error:
        raise Invalid("bad_schema", "ce_id is not UTF-8") from error
    if not 1 <= len(text) <= 256:
        raise Invalid("bad_schema", "ce_id must have 1 to 256 characters")
    return text
