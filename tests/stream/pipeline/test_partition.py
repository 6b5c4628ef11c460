"""A forget marker goes when no replay can bring the user back, and not before."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from stream.events import Message
from stream.pipeline.partition import Partition
from stream.storage.store import StateStore
from stream.user_state import UserState
from tests.stream.fakes import click, forget
from tests.stream.world import make_users

pytestmark = pytest.mark.usefixtures("core")


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


def fold_and_settle(partition: Partition, message: Message) -> None:
    """The message of a user arrives, and the batch with them is on disk."""
    partition.users.fold([message])
    snapshot = partition.users.take(1)
    partition.markers |= snapshot.forgotten
    partition.users.settle(snapshot, {})


@pytest.fixture
def partition(store: StateStore) -> Partition:
    return Partition(0, make_users(store), store.markers(0))


def test_the_markers_on_disk_are_known_with_the_offset_of_their_forget(
    partition: Partition,
) -> None:
    assert partition.markers == {b"u1": 4, b"u2": 9}


@pytest.mark.parametrize(
    ("committed", "expired"),
    [
        (-1, {}),
        (4, {}),  # the forget at 4 would come again
        (5, {b"u1": 4}),
        (9, {b"u1": 4}),
        (10, {b"u1": 4, b"u2": 9}),
    ],
)
def test_a_marker_expires_when_its_forget_is_committed(
    partition: Partition, committed: int, expired: dict[bytes, int]
) -> None:
    partition.mark_committed(committed, now_s=3.0)

    assert partition.has_expired_markers(3.0) == bool(expired)
    assert partition.expired_markers(3.0) == expired


def test_a_marker_stays_for_a_while_after_its_forget_is_committed(partition: Partition) -> None:
    partition.mark_committed(5, now_s=3.0)
    partition.mark_committed(10, now_s=4.0)

    assert not partition.has_expired_markers(before_s=2.9)
    assert partition.expired_markers(2.9) == {}
    assert partition.has_expired_markers(before_s=3.0)
    assert partition.expired_markers(3.9) == {b"u1": 4}
    assert partition.expired_markers(4.0) == {b"u2": 9}


def test_who_is_forgotten_again_meanwhile_stays_for_as_long_again(partition: Partition) -> None:
    partition.mark_committed(10, now_s=3.0)
    fold_and_settle(partition, forget("u1", offset=12))

    assert partition.expired_markers(3.0) == {b"u2": 9}  # a replay of 12 is still to come
    partition.mark_committed(13, now_s=5.0)
    assert not partition.has_expired_markers(before_s=4.9)
    assert partition.expired_markers(5.0) == {b"u1": 12}


def test_a_marker_expires_once(partition: Partition) -> None:
    partition.mark_committed(100, now_s=3.0)

    assert len(partition.expired_markers(3.0)) == 2
    assert not partition.has_expired_markers(3.0)
    assert partition.expired_markers(3.0) == {}


def test_a_busy_users_marker_waits(partition: Partition) -> None:
    held = {b"u1"}
    partition.mark_committed(100, now_s=3.0)
    partition.users.hold(held)
    partition.users.fold([forget("u2", offset=9)])  # a replay does not make a user busy

    assert partition.expired_markers(3.0) == {b"u2": 9}
    partition.users.settle(None, held)
    assert partition.expired_markers(3.0) == {b"u1": 4}


def test_a_waiting_users_marker_waits(partition: Partition) -> None:
    partition.mark_committed(100, now_s=3.0)
    partition.users.fold([forget("u1", offset=12)])

    assert partition.expired_markers(3.0) == {b"u2": 9}


def test_whoever_has_come_back_is_not_deleted(partition: Partition) -> None:
    partition.mark_committed(100, now_s=3.0)
    fold_and_settle(partition, click("u1", offset=12))

    assert partition.expired_markers(3.0) == {b"u2": 9}
    assert partition.markers == {}
    assert not partition.has_expired_markers(3.0)


def test_a_deleted_user_is_in_memory_no_more(partition: Partition) -> None:
    partition.mark_committed(100, now_s=3.0)
    before = len(partition.users)

    partition.expired_markers(3.0)

    assert len(partition.users) == before - 2
