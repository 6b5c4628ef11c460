"""The verdicts: what the worker's validator and the oracle each say of one message."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stream.events import Validator
from tests.kafka.message import Message
from tests.oracle import message as oracle
from tests.oracle.hashing import partition_of
from tests.oracle.record import Record
from tests.oracle.rules import DEFAULT_RULES

PARTITIONS = 4
VALIDATOR = Validator(
    frozenset(DEFAULT_RULES.actions),
    DEFAULT_RULES.max_message_bytes,
    lambda key: partition_of(key, PARTITIONS),
)


@dataclass(slots=True)
class Fetched:
    """A record as the consumer gives it to the worker."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


class Verdict(NamedTuple):
    """Why it is dead, or what it says: user, item, action, time and event id."""

    dead: str | None = None
    user: str = ""
    item: str = ""
    action: str = ""
    ts_ms: int = 0
    event_id: str | None = None
    category: str | None = None


def of_worker(message: Message) -> Verdict:
    """What becomes of it."""
    fetched = Fetched(0, message.timestamp_ms, message.key, message.value, message.headers)
    events, dead = VALIDATOR.validate([fetched], message.partition)
    if dead:
        return Verdict(dead[0].reason)
    event = events[0]
    return Verdict(
        None,
        event.key.decode(),
        event.item,
        event.action,
        event.ts_ms,
        event.event_id,
        event.category,
    )


def of_oracle(message: Message) -> Verdict:
    """What it ought to be."""
    partition, timestamp_ms, key, value, headers = message
    record = Record(partition, 0, timestamp_ms, key, value, headers)
    try:
        event = oracle.read(record, PARTITIONS, DEFAULT_RULES)
    except oracle.Dead as dead:
        return Verdict(dead.reason)
    if event.action == oracle.FORGET:  # its time is the record's, and of an item it has none
        return Verdict(
            None, event.user_id, "", event.action, timestamp_ms, event.event_id, event.category
        )
    return Verdict(None, *event)
