"""Users in memory: read once, evicted when idle, never while memory is ahead of the disk."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.pipeline.users.user_cache import UserCache
from stream.storage.store import StateStore
from stream.user_state import UnknownFormat, UserState


class MemoryStore(StateStore):
    """A store of one partition that counts how often it is read."""

    def __init__(self, values: dict[bytes, bytes]) -> None:
        self.values = values
        self.reads: list[bytes] = []
        self.reads_of_many: list[list[bytes]] = []

    def get(self, partition: int, key: bytes) -> bytes | None:
        self.reads.append(key)
        return self.values.get(key)

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        self.reads_of_many.append(list(keys))
        return [self.values.get(key) for key in keys]


def stored(offset: int) -> bytes:
    state = UserState()
    state.applied_offset = offset
    return state.to_bytes()


def test_a_user_is_read_once_and_then_the_same_object() -> None:
    store = MemoryStore({b"u1": stored(7)})
    users = UserCache(0, store, limit=10)

    first = users.get(b"u1")

    assert first.applied_offset == 7
    assert users.get(b"u1") is first
    assert store.reads == [b"u1"]


def test_users_who_are_not_in_memory_are_read_at_once() -> None:
    store = MemoryStore({b"u1": stored(7), b"u2": stored(8)})
    users = UserCache(0, store, limit=10)
    first = users.get(b"u1")

    users.load([b"u2", b"u1", b"u3", b"u2"])

    assert store.reads_of_many == [[b"u2", b"u3"]]
    assert [users.get(key).applied_offset for key in (b"u1", b"u2", b"u3")] == [7, 8, -1]
    assert users.get(b"u1") is first  # newer than the disk, perhaps
    assert store.reads == [b"u1"]


def test_the_store_is_not_asked_for_nobody() -> None:
    store = MemoryStore({})
    users = UserCache(0, store, limit=10)
    users.get(b"u1")

    users.load([b"u1"])

    assert store.reads_of_many == []


def test_a_user_never_seen_has_a_new_state() -> None:
    assert UserCache(0, MemoryStore({}), limit=10).get(b"u1").applied_offset == -1


def test_bytes_that_cannot_be_read_are_not_kept() -> None:
    users = UserCache(0, MemoryStore({b"u1": b"\2"}), limit=10)

    with pytest.raises(UnknownFormat):
        users.get(b"u1")
    assert len(users) == 0


def test_a_dropped_user_is_read_again_and_dropping_twice_is_no_harm() -> None:
    store = MemoryStore({b"u1": stored(7)})
    users = UserCache(0, store, limit=10)
    users.get(b"u1").applied_offset = 8

    users.drop(b"u1")
    users.drop(b"u1")

    assert users.get(b"u1").applied_offset == 7


def test_nobody_is_evicted_while_there_is_room() -> None:
    users = UserCache(0, MemoryStore({}), limit=2)
    for key in (b"u1", b"u2"):
        users.get(key)

    users.make_room(())

    assert len(users) == 2


def test_those_read_longest_ago_go_first_and_an_eighth_of_the_room_with_them() -> None:
    store = MemoryStore({})
    users = UserCache(0, store, limit=16)
    for n in range(17):
        users.get(b"u%d" % n)

    users.make_room(())

    assert len(users) == 17 - (17 - 16) - 16 // 8
    store.reads.clear()
    users.get(b"u2")  # of the three oldest, u0 to u2
    users.get(b"u3")
    assert store.reads == [b"u2"]


def test_whoever_is_busy_stays_even_beyond_the_limit() -> None:
    users = UserCache(0, MemoryStore({}), limit=1)
    for key in (b"u1", b"u2", b"u3"):
        users.get(key)

    users.make_room(({b"u1", b"u2"}, {b"u3": None}))

    assert len(users) == 3


@settings(deadline=None)
@given(
    st.integers(1, 20),
    st.lists(st.integers(0, 30), max_size=60),
    st.sets(st.integers(0, 30)),
)
def test_after_room_is_made_the_busy_are_there_and_no_idle_one_beyond_the_limit(
    limit: int, reads: list[int], busy: set[int]
) -> None:
    users = UserCache(0, MemoryStore({}), limit)
    states = {n: users.get(b"u%d" % n) for n in reads}

    users.make_room(({b"u%d" % n for n in busy},))

    held = busy & set(reads)
    assert all(users.get(b"u%d" % n) is states[n] for n in held)
    assert len(users) <= max(limit, len(held))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = StateStore(tmp_path, lambda cause: None)
    store.lock()
    store.open(0)
    yield store
    store.close_all()


def test_an_evicted_user_comes_back_from_disk_as_they_were_written(store: StateStore) -> None:
    users = UserCache(0, store, limit=1)
    users.get(b"u1").applied_offset = 7
    store.write(0, [(b"u1", users.get(b"u1").to_bytes())], changelog_offset=0)
    users.get(b"u2")

    users.make_room(())

    assert len(users) == 1
    assert users.get(b"u1").applied_offset == 7
