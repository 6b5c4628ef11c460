"""Users on the native core (`Users`): what is unusual is left to the reference."""

from collections.abc import Container
from collections.abc import Sequence as Batch
from typing import Any, get_args

from model import native
from stream.events import FORGET, DeadLetter, Message, Validator
from stream.kafka.fetching.fetched_records import FetchedRecords
from stream.pipeline.users.forget import Forget
from stream.pipeline.users.native_snapshot import NativeSnapshot
from stream.pipeline.users.users import Folded, Position, Snapshot
from stream.storage.store import StateStore
from stream.user_state import Outcome, Rules, UserState

_OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)  # in the order of the core
_EVICTED_SHARE = 8  # an eviction frees an eighth of the limit, so that it is rare


class NativeUsers:
    """Folds by ``rules`` what ``validator`` would take; about ``limit`` states in memory."""

    def __init__(
        self, partition: int, store: StateStore, limit: int, validator: Validator, rules: Rules
    ) -> None:
        self._partition = partition
        self._store = store
        self._limit = limit
        self._validator = validator
        self._users = native.core.Users(
            rules.sequence_length,
            rules.dedupe_window,
            rules.allowed_lateness_ms,
            rules.max_future_ms,
            rules.ttl_ms,
            sorted(validator.actions),
            validator.max_message_bytes,
        )
        self._held: list[Container[bytes]] = []

    def __len__(self) -> int:
        """How many states are in memory."""
        return len(self._users)

    def fold(self, messages: Batch[Message]) -> Folded:
        """Fold messages in; see `Users.fold`."""
        records, users = FetchedRecords.of(messages), self._users
        chunk, start, end = records.chunk, records.start, records.end
        self._load(users.missing(chunk, start, end))
        waited = users.waiting
        forgets: list[Forget] = []
        dead: list[DeadLetter] = []
        while (at := users.fold(chunk, start, end)) < end:
            self._fold_unusual(chunk, at, records[at - records.start], forgets, dead)
            start = at + 1
        counts = zip(_OUTCOMES, users.take_outcomes(), strict=True)
        outcomes = {outcome: count for outcome, count in counts if count}
        return Folded(outcomes, users.waiting - waited, forgets, dead)

    def _fold_unusual(
        self, chunk: Any, at: int, message: Message, forgets: list[Forget], dead: list[DeadLetter]
    ) -> None:
        events, refused = self._validator.validate([message], self._partition)
        dead += refused
        for event in events:
            removed = bool(self.state(event.key).items) if event.action == FORGET else False
            self._ensure(event.key)
            number = self._users.fold_event(
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
            if _OUTCOMES[number] == "forgotten":
                forgets.append(Forget(event, removed))

    def oldest_waiting(self) -> Position | None:
        """See `Users.oldest_waiting`."""
        oldest = self._users.oldest_waiting()
        return None if oldest is None else Position._make(oldest)

    def take(self, count: int) -> Snapshot:
        """See `Users.take`."""
        return NativeSnapshot(self._partition, self._users.take(count))

    def hold(self, keys: Container[bytes]) -> None:
        """See `Users.hold`."""
        self._held.append(keys)

    def settle(self, snapshot: Snapshot | None, keys: Container[bytes]) -> None:
        """See `Users.settle`."""
        if isinstance(snapshot, NativeSnapshot):
            self._users.settle(snapshot.native)
        self._held = [held for held in self._held if held is not keys]

    def is_waiting(self, key: bytes) -> bool:
        """See `Users.is_waiting`."""
        return bool(self._users.is_waiting(key))

    def is_busy(self, key: bytes) -> bool:
        """See `Users.is_busy`."""
        return self._users.is_busy(key) or any(key in keys for keys in self._held)

    def state(self, key: bytes) -> UserState:
        """See `Users.state`."""
        self._ensure(key)
        value = self._users.value(key)
        return UserState.from_bytes(value) if value else UserState()

    def drop(self, key: bytes) -> None:
        """See `Users.drop`."""
        self._users.drop(key)

    def expire(self, key: bytes) -> None:
        """See `Users.expire`."""
        self._users.expire(key)

    def make_room(self) -> None:
        """See `Users.make_room`."""
        excess = len(self._users) - self._limit
        if excess > 0:
            self._users.evict(excess + self._limit // _EVICTED_SHARE)

    def _ensure(self, key: bytes) -> None:
        if self._users.value(key) is None:
            self._load([key])

    def _load(self, keys: list[bytes]) -> None:
        """Read these users, who are not in memory; raises UnknownFormat."""
        if not keys:
            return
        users = self._users
        for key, value in zip(keys, self._store.get_many(self._partition, keys), strict=True):
            try:
                users.load(key, value)
            except ValueError:  # not in the form that we write, but perhaps in a valid one
                users.load(key, UserState.from_bytes(value or b"").to_bytes())
