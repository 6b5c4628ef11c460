"""The fold of messages into the states of their users: in Python, the reference, and natively."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.producer.message_accumulator import BatchBuilder

from model import native
from stream.events import DeadLetter, Event, Message, Validator
from stream.user_state import Rules, UserState
from tests.native.batches import sealed
from tests.stream.fakes import FakeMessage
from tests.stream.verdicts import HOME, VALIDATOR

OUTCOMES = ("applied", "late", "future", "duplicate", "replayed", "forgotten")
Letter = tuple[int, str, str]  # offset, reason, text


@dataclass
class Folded:
    """What became of messages; the values by the key of their user."""

    values: dict[bytes, bytes]
    outcomes: dict[str, int]
    dead: list[Letter]


@dataclass
class Reference:
    """The fold of `stream.events` and `stream.user_state`."""

    rules: Rules
    validator: Validator = VALIDATOR
    states: dict[bytes, UserState] = field(default_factory=dict)

    def fold(self, messages: Sequence[Message]) -> Folded:
        """Fold messages in; outcomes and dead letters are those of the call."""
        events, dead = self.validator.validate(messages, HOME)
        outcomes: Counter[str] = Counter(
            self.states.setdefault(event.key, UserState()).apply(event, self.rules)
            for event in events
        )
        values = {key: state.to_bytes() for key, state in self.states.items()}
        return Folded(values, dict(outcomes), [_letter(letter) for letter in dead])


class Native:
    """The fold of the native core, with Python to judge what is unusual."""

    def __init__(self, rules: Rules, validator: Validator = VALIDATOR) -> None:
        self._validator = validator
        self.users = native.core.Users(
            rules.sequence_length,
            rules.dedupe_window,
            rules.allowed_lateness_ms,
            rules.max_future_ms,
            rules.ttl_ms,
            sorted(validator.actions),
            validator.max_message_bytes,
        )
        self._keys: set[bytes] = set()
        self.handed_back = 0

    def fold(self, messages: Sequence[Message]) -> Folded:
        """Fold messages in; outcomes and dead letters are those of the call."""
        chunk = native.core.Chunk(as_fetch(messages), 0)
        assert len(chunk) == len(messages)
        for key in self.users.missing(chunk, 0, len(chunk)):
            self._load(key)
        dead, at = [], 0
        while (at := self.users.fold(chunk, at, len(chunk))) < len(chunk):
            self.handed_back += 1
            offset, timestamp_ms, user, body, headers = chunk[at]
            message = FakeMessage(body, user, offset, timestamp_ms, headers)
            events, letters = self._validator.validate([message], HOME)
            dead += letters
            for event in events:
                self._load(event.key)
                fold_event(self.users, event, chunk, at)
            at += 1
        counts = zip(OUTCOMES, self.users.take_outcomes(), strict=True)
        return Folded(
            {key: stored for key in self._keys if (stored := self.users.value(key))},
            {outcome: count for outcome, count in counts if count},
            [_letter(letter) for letter in dead],
        )

    def _load(self, key: bytes) -> None:
        self.users.load(key, None)
        self._keys.add(key)


def fold_event(users: Any, event: Event, chunk: Any = None, at: int = 0) -> None:
    """Fold one valid event in natively; its user is loaded.

    Without a chunk the event's record is one of its own.
    """
    if chunk is None:
        chunk = native.core.Chunk.of([(event.offset, event.timestamp_ms, event.key, b"", ())])
    users.fold_event(
        chunk,
        at,
        event.key,
        event.timestamp_ms,
        event.item,
        event.action,
        event.ts_ms,
        event.event_id,
        event.category,
    )


def as_fetch(messages: Sequence[Message]) -> bytes:
    """The messages as a fetch has them; each in a batch of its own, so offsets may have gaps."""
    batches = []
    for message in messages:
        batch = BatchBuilder(1 << 24, 0)
        headers = list(message.headers)
        batch.append(
            timestamp=message.timestamp, key=message.key, value=message.value, headers=headers
        )
        batches.append(sealed(bytes(batch._build()), message.offset, 0))
    return b"".join(batches)


def _letter(letter: DeadLetter) -> Letter:
    return letter.message.offset, letter.reason, letter.text
