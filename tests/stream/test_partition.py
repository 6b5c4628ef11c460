"""A forget marker goes when no replay can bring the user back, and not before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.partition import Partition
from stream.state import UserState
from stream.store import StateStore
from stream.users import Users


def marker(offset: int) -> bytes:
    state = UserState()
    state.applied_offset, state.forgotten = offset, True
    return state.to_bytes()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = StateStore(tmp_path, lambda cause: None)
    store.lock()
    store.open(0)
    store.write(0, [(b"u1", marker(4)), (b"u2", marker(9))], changelog_offset=1)
    yield store
    store.close_all()


@pytest.fixture
def partition(store: StateStore) -> Partition:
    return Partition(0, Users(0, store, limit=10), store.markers(0))


def test_the_markers_on_disk_are_known_with_the_offset_of_their_forget(
    partition: Partition,
) -> None:
    assert partition.markers == {b"u1": 4, b"u2": 9}


@pytest.mark.parametrize(
    ("committed", "expired"),
    [
        (-1, []),
        (4, []),  # the forget at 4 would come again
        (5, [b"u1"]),
        (9, [b"u1"]),
        (10, [b"u1", b"u2"]),
    ],
)
def test_a_marker_expires_when_its_forget_is_committed(
    partition: Partition, committed: int, expired: list[bytes]
) -> None:
    partition.committed = committed

    assert sorted(partition.expired_markers(())) == expired


def test_a_marker_expires_once(partition: Partition) -> None:
    partition.committed = 100

    assert len(partition.expired_markers(())) == 2
    assert partition.expired_markers(()) == []


def test_a_busy_users_marker_waits(partition: Partition) -> None:
    partition.committed = 100

    assert partition.expired_markers(({b"u1"}, {b"u2": None})) == []
    assert sorted(partition.expired_markers(())) == [b"u1", b"u2"]


def test_whoever_has_come_back_is_not_deleted(partition: Partition) -> None:
    partition.committed = 100
    partition.users.get(b"u1").forgotten = False

    assert partition.expired_markers(()) == [b"u2"]
    assert partition.markers == {}


def test_a_deleted_user_is_in_memory_no_more(partition: Partition) -> None:
    partition.committed = 100
    before = len(partition.users)

    partition.expired_markers(())

    assert len(partition.users) == before - 2
