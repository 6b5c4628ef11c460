"""The user cache: decoded states of one partition in memory, in front of RocksDB, bounded."""

from collections.abc import Container, Iterable

from stream.storage.store import StateStore
from stream.user_state import UserState

_EVICTED_SHARE = 8  # an eviction frees an eighth of the limit, so that it is rare


class UserCache:
    """Reads each user once from disk and keeps the decoded state until room is needed.

    A cached state may be newer than the disk's: a user who waits for a score, or whose score is
    being written, must not be evicted. The caller names those users.
    """

    def __init__(self, partition: int, store: StateStore, limit: int) -> None:
        self._partition = partition
        self._store = store
        self._limit = limit
        self._states: dict[bytes, UserState] = {}

    def __len__(self) -> int:
        return len(self._states)

    def get(self, key: bytes) -> UserState:
        """The state of a user; a new one for a user never seen.

        Raises UnknownFormat for bytes that cannot be decoded.
        """
        state = self._states.get(key)
        if state is None:
            state = self._states[key] = _decode(self._store.get(self._partition, key))
        return state

    def load(self, keys: Iterable[bytes]) -> None:
        """Read those of these users who are not in memory yet, which costs half of one by one.

        Raises UnknownFormat for bytes that cannot be decoded.
        """
        states = self._states
        missing = [key for key in dict.fromkeys(keys) if key not in states]
        if missing:
            values = self._store.get_many(self._partition, missing)
            for key, value in zip(missing, values, strict=True):
                states[key] = _decode(value)

    def drop(self, key: bytes) -> None:
        """Remove a user who is deleted."""
        self._states.pop(key, None)

    def expire(self, key: bytes) -> None:
        """Let a user start over: they are being deleted from disk."""
        self._states[key] = UserState.expired(self._states[key].applied_offset)

    def make_room(self, busy: tuple[Container[bytes], ...]) -> None:
        """Evict the users read longest ago if there are too many; never one in ``busy``."""
        excess = len(self._states) - self._limit
        if excess <= 0:
            return
        wanted = excess + self._limit // _EVICTED_SHARE
        idle = (key for key in self._states if not any(key in keys for keys in busy))
        for key in [key for key, _ in zip(idle, range(wanted), strict=False)]:
            del self._states[key]


def _decode(value: bytes | None) -> UserState:
    return UserState() if value is None else UserState.from_bytes(value)
