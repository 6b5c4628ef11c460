"""Events: messages decoded and validated against the wire contract, a whole list at once.

A message is the record as Kafka gave it; an event is its validated content. A message that breaks
the contract becomes a dead letter with a reason, and does not affect its neighbours.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, Protocol

import msgspec

from model.times import FIRST_TS_MS, LAST_TS_MS, event_time_ms, fault_of

FORGET = "forget"
NO_CLOCK_MS = -1
MAX_DEPTH = 8  # nested objects and arrays, the message itself counted

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

# Strings, closed or not, and brackets outside of them.
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"?|[][{}]', re.DOTALL)

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]


class Message(Protocol):
    """A Kafka record: the fields of aiokafka's ConsumerRecord that we read."""

    @property
    def offset(self) -> int:
        """Where it lies in its partition."""
        ...

    @property
    def timestamp(self) -> int:
        """Milliseconds since the epoch, if it is a time at all: see `clock_of`."""
        ...

    @property
    def key(self) -> bytes | None:
        """The key, if it has one."""
        ...

    @property
    def value(self) -> bytes | None:
        """The value; None for a tombstone."""
        ...

    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]:
        """Names and values."""
        ...


class Payload(msgspec.Struct, frozen=True, gc=False):
    """The JSON of a message, its types checked by the parser."""

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
    """A payload whose ``ts`` has a type that no time has."""

    ts: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]


class Event(msgspec.Struct, frozen=True, gc=False):
    """One valid action of one user, or a ``forget`` request, whose ``item`` is empty."""

    key: bytes
    offset: int
    timestamp_ms: int  # by `clock_of` the record; a later event time is in the future
    item: str
    action: str
    ts_ms: int
    event_id: str | None
    message: Message
    category: str | None = None  # of the item; an empty one is none


class DeadLetter(NamedTuple):
    """A message that can never succeed, and the reason."""

    message: Message
    reason: Reason
    exception: str
    text: str


class Invalid(Exception):
    """A message breaks the wire contract; ``reason`` is that of the dead letter."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Validator:
    """Turns messages into events or dead letters.

    ``partition_of`` is the partitioner of the events topic: key → partition.
    """

    actions: frozenset[str]
    max_message_bytes: int
    partition_of: Callable[[bytes], int]

    def validate(
        self, messages: Sequence[Message], partition: int
    ) -> tuple[list[Event], list[DeadLetter]]:
        """Validate the messages of one partition; events and dead letters keep their order."""
        try:
            values = [message.value for message in messages]
            # The fast path takes a whole list; a list with anything unusual takes the slow path.
            if max(map(len, values)) <= self.max_message_bytes:  # type: ignore[arg-type]
                _check_bytes(values)  # type: ignore[arg-type]
                payloads = [_decode(value) for value in values]  # type: ignore[arg-type]
                return self._fast(payloads, messages), []
        except (Invalid, TypeError, ValueError):
            pass
        return self._one_by_one(messages, partition)

    def _fast(self, payloads: list[Payload], messages: Sequence[Message]) -> list[Event]:
        """The common case: each message is an event with a key, no headers and an integer time."""
        actions = self.actions
        events = []
        for payload, message in zip(payloads, messages, strict=True):
            ts, stamp = payload.ts, message.timestamp
            key = message.key
            if (
                message.headers
                or type(ts) is not int
                or not FIRST_TS_MS <= ts <= LAST_TS_MS
                or payload.item_id is msgspec.UNSET
                or payload.action not in actions
                or key != payload.user_id.encode()
            ):
                raise Invalid("bad_schema", "needs the slow path")
            events.append(
                Event(
                    key,
                    message.offset,
                    stamp if FIRST_TS_MS <= stamp <= LAST_TS_MS else NO_CLOCK_MS,  # `clock_of`
                    payload.item_id,
                    payload.action,
                    ts,
                    payload.event_id,
                    message,
                    payload.category,
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
        clock_ms = clock_of(message)
        ts_ms = clock_ms if forget else _time(payload.ts, headers.get("ce_time"))
        key = self._key(message.key, payload.user_id, partition)
        item = "" if forget or item_id is msgspec.UNSET else item_id
        return Event(
            key,
            message.offset,
            clock_ms,
            item,
            payload.action,
            ts_ms,
            event_id,
            message,
            payload.category,
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


def clock_of(message: Message) -> int:
    """The time of a record in milliseconds, or ``NO_CLOCK_MS``.

    Producers that give none send -1 or 0, and some send seconds. Kafka takes all of these; as a
    clock they would put every action to 1970.
    """
    stamp = message.timestamp
    return stamp if FIRST_TS_MS <= stamp <= LAST_TS_MS else NO_CLOCK_MS


def _check_bytes(values: Sequence[bytes]) -> None:
    """Raise ValueError for a value that is not UTF-8, which the parser would miss, or too deep."""
    together = b"".join(values)
    if not together.isascii():
        for value in values:
            value.decode()
    # A usual event has one bracket, so a deep one shows in the sum.
    if _brackets(together) >= len(values) + MAX_DEPTH and any(
        _brackets(value) > MAX_DEPTH for value in values
    ):
        raise ValueError("maybe nested too deep")


def _brackets(value: bytes) -> int:
    return value.count(b"{") + value.count(b"[")


_decode = msgspec.json.Decoder(Payload).decode
_read_syntax = msgspec.json.Decoder(msgspec.Raw).decode  # any JSON, whatever its types
_decode_any_time = msgspec.json.Decoder(PayloadWithBadTime).decode


def _parse(value: bytes | None, max_bytes: int) -> Payload:
    """Decode one value; raises Invalid with its first fault."""
    if value is None:
        raise Invalid("not_json", "the value is null")
    if len(value) > max_bytes:
        raise Invalid("too_large", f"{len(value)} bytes, the limit is {max_bytes}")
    try:
        text = value.decode()
    except UnicodeDecodeError as error:
        raise Invalid("not_utf8", f"byte {error.start} is not UTF-8") from error
    _check_depth(text)
    try:
        return _decode(value)
    except msgspec.DecodeError:
        _check_syntax(value, text)
    try:
        return _decode_any_time(value)
    except msgspec.ValidationError as error:
        raise Invalid("bad_schema", str(error)) from error


def _check_depth(text: str) -> None:
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(match[0], 0)
        if depth > MAX_DEPTH:
            raise Invalid("too_large", f"nested more than {MAX_DEPTH} levels deep")


def _check_syntax(value: bytes, text: str) -> None:
    if text.startswith("\ufeff"):
        raise Invalid("not_json", "starts with a byte order mark")
    try:
        _read_syntax(value)
    except msgspec.DecodeError as error:
        raise Invalid("not_json", str(error)) from error


def _time(ts: int | str | msgspec.Raw | None, ce_time: bytes | None) -> int:
    """Milliseconds since the epoch; a CloudEvents time wins over the body's."""
    if ce_time is not None:
        return _iso_ms(ce_time.decode("utf-8", "replace"))
    if isinstance(ts, str):
        return _iso_ms(ts)
    if type(ts) is int:
        if (fault := fault_of(ts)) is None:
            return ts
    elif ts is None:
        fault = "is missing"
    else:
        fault = _fault_of_json(bytes(ts))
    raise Invalid("bad_time", f"ts {fault}; send milliseconds since the epoch")


def _fault_of_json(value: bytes) -> str:
    """Why this JSON, which is neither an integer nor a text, is no time."""
    try:
        return fault_of(float(value)) or "is no integer"
    except ValueError:
        return "is neither an integer nor a text"


def _iso_ms(text: str) -> int:
    try:
        return event_time_ms(text)
    except ValueError as error:
        raise Invalid("bad_time", str(error)) from None


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
