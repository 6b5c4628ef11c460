"""The reference of `stream.pipeline.users`: decoded states in Python, one user at a time."""

from collections import Counter
from collections.abc import Container, Iterable
from collections.abc import Sequence as Batch
from itertools import islice
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.sequence import Sequence
from stream.events import Event, Message, Validator
from stream.kafka.producer import NO_HEADERS, Headers, Publisher, Record, RecordBatch
from stream.pipeline.encoding import AsOf, ScoreEncoder
from stream.pipeline.users.forget import Forget
from stream.pipeline.users.user_cache import UserCache
from stream.pipeline.users.users import Folded, Position, Snapshot
from stream.storage.store import StateStore
from stream.user_state import Outcome, Rules, UserState

_NEWS = frozenset({"applied", "late", "future", "forgotten"})


class Waiting:
    """A waiting user: which events the next score covers."""

    __slots__ = ("first", "last")

    def __init__(self, event: Event) -> None:
        self.first = event  # nothing from here on may be committed before the score is out
        self.last = event


class Row(NamedTuple):
    """One user to score."""

    key: bytes
    as_of: AsOf
    n_events: int
    waiting: Waiting


class ReferenceUsers:
    """Validates with ``validator`` and folds by ``rules``; at most ``limit`` states in memory."""

    def __init__(
        self, partition: int, store: StateStore, limit: int, validator: Validator, rules: Rules
    ) -> None:
        self._partition = partition
        self._validator = validator
        self._rules = rules
        self._cache = UserCache(partition, store, limit)
        self._waiting: dict[bytes, Waiting] = {}  # the longest-waiting first
        self._written: list[Container[bytes]] = []  # by batch: the users who are being written

    def __len__(self) -> int:
        """How many states are decoded in memory."""
        return len(self._cache)

    def fold(self, messages: Batch[Message]) -> Folded:
        """Fold messages in; see `Users.fold`."""
        events, dead = self._validator.validate(messages, self._partition)
        self._cache.load(event.key for event in events)
        # Bound once: this loop runs for every event.
        get, rules, waiting = self._cache.get, self._rules, self._waiting
        waited = len(waiting)
        outcomes: list[Outcome] = []
        forgets: list[Forget] = []
        for event in events:
            key = event.key
            user = get(key)
            outcome = user.apply(event, rules)
            outcomes.append(outcome)
            if outcome in _NEWS:
                entry = waiting.get(key)
                if entry is None:
                    waiting[key] = Waiting(event)
                else:
                    entry.last = event
                if outcome == "forgotten":
                    forgets.append(Forget(event, user.removed))
        return Folded(Counter(outcomes), len(waiting) - waited, forgets, dead)

    def oldest_waiting(self) -> Position | None:
        """See `Users.oldest_waiting`."""
        oldest = next(iter(self._waiting.values()), None)
        return None if oldest is None else Position(oldest.first.offset, oldest.first.timestamp_ms)

    def take(self, count: int) -> Snapshot:
        """See `Users.take`."""
        if count >= len(self._waiting):
            taken, self._waiting = self._waiting, {}
        else:
            taken = dict(islice(self._waiting.items(), count))
            for key in taken:
                del self._waiting[key]
        snapshot = ReferenceSnapshot(self._partition, self._cache, taken)
        self._written.append(snapshot.values)
        return snapshot

    def hold(self, keys: Container[bytes]) -> None:
        """See `Users.hold`."""
        self._written.append(keys)

    def settle(self, snapshot: Snapshot | None, keys: Container[bytes]) -> None:
        """See `Users.settle`."""
        values = snapshot.values if isinstance(snapshot, ReferenceSnapshot) else None
        self._written = [held for held in self._written if held is not values and held is not keys]

    def is_waiting(self, key: bytes) -> bool:
        """See `Users.is_waiting`."""
        return key in self._waiting

    def is_busy(self, key: bytes) -> bool:
        """See `Users.is_busy`."""
        return key in self._waiting or any(key in keys for keys in self._written)

    def state(self, key: bytes) -> UserState:
        """See `Users.state`."""
        return self._cache.get(key)

    def drop(self, key: bytes) -> None:
        """See `Users.drop`."""
        self._cache.drop(key)

    def expire(self, key: bytes) -> None:
        """See `Users.expire`."""
        self._cache.expire(key)

    def make_room(self) -> None:
        """See `Users.make_room`."""
        self._cache.make_room((self._waiting, *self._written))


class ReferenceSnapshot:
    """Values, sequences and rows of the users taken, in the order in which they waited."""

    def __init__(self, partition: int, users: UserCache, taken: dict[bytes, Waiting]) -> None:
        self.start = min((w.first.offset for w in taken.values()), default=-1)
        self.values: dict[bytes, bytes] = {}
        self.forgotten: dict[bytes, int] = {}
        self._rows: list[Row] = []
        self._sequences: list[Sequence] = []
        for key, waiting in taken.items():
            state = users.get(key)
            self.values[key] = state.to_bytes()
            if state.forgotten:
                self.forgotten[key] = state.applied_offset
            else:
                sequence = state.sequence()
                as_of = AsOf(partition, state.applied_offset, sequence.now_ms)
                self._rows.append(Row(key, as_of, len(state.items), waiting))
                self._sequences.append(sequence)

    def __len__(self) -> int:
        """The number of rows."""
        return len(self._rows)

    @property
    def first_key(self) -> bytes | None:
        """See `Snapshot.first_key`."""
        return self._rows[0].key if self._rows else None

    def sequences(self) -> Batch[Sequence]:
        """See `Snapshot.sequences`."""
        return self._sequences

    def first_times_ms(self) -> npt.NDArray[np.int64]:
        """See `Snapshot.first_times_ms`."""
        times_ms = (row.waiting.first.timestamp_ms for row in self._rows)
        return np.fromiter(times_ms, np.int64, len(self._rows))

    def last_message(self, row: int) -> Message:
        """See `Snapshot.last_message`."""
        return self._rows[row].waiting.last.message

    def scores(
        self,
        publisher: Publisher,
        encoder: ScoreEncoder,
        predictions: Batch[bytes | None],
        scored_at_ms: int,
        headers: Headers,
    ) -> list[RecordBatch]:
        """See `Snapshot.scores`."""
        encode = encoder.encode
        records: list[Record] = [
            (row.key, encode(row.key, row.as_of, prediction, scored_at_ms, row.n_events), headers)
            for row, prediction in zip(self._rows, predictions, strict=True)
            if prediction is not None
        ]
        return publisher.build(records)

    def changelog(self, publisher: Publisher) -> list[RecordBatch]:
        """See `Snapshot.changelog`."""
        return publisher.build((key, value, NO_HEADERS) for key, value in self.values.items())

    def changes(self) -> Iterable[tuple[bytes, bytes]]:
        """See `Snapshot.changes`."""
        return self.values.items()
