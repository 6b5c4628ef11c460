"""The state on a real RocksDB: atomic offsets, prefixes, markers."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.storage.store import Change, StateStore
from stream.user_state import UserState


def open_store(directory: Path, *partitions: int) -> StateStore:
    store = StateStore(directory, lambda cause: pytest.fail(f"rebuilt: {cause}"))
    store.lock()
    for partition in partitions:
        store.open(partition)
    return store


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = open_store(tmp_path, 0)
    yield store
    store.close_all()


def value(offset: int, *, forgotten: bool = False) -> bytes:
    state = UserState()
    state.applied_offset, state.forgotten = offset, forgotten
    return state.to_bytes()


# --- values and offsets --------------------------------------------------------------------------


def test_an_empty_partition_has_no_offset_and_no_user(store: StateStore) -> None:
    assert store.changelog_offset(0) is None
    assert store.get(0, b"u1") is None
    assert list(store.users(0)) == []
    assert store.markers(0) == frozenset()


def test_users_are_estimated_over_the_open_partitions(store: StateStore) -> None:
    store.open(1)
    store.write(0, [(b"u%d" % n, value(n)) for n in range(100)], changelog_offset=100)
    store.write(1, [(b"v%d" % n, value(n)) for n in range(50)], changelog_offset=50)
    both = store.estimate_users()
    store.close(1)

    # Each partition has a key or two of its own beside its users.
    assert 150 <= both <= 150 + 4
    assert 100 <= store.estimate_users() <= 100 + 2


def test_values_and_their_changelog_offset_are_written_together(store: StateStore) -> None:
    store.write(0, [(b"u1", value(1)), (b"u2", value(2))], changelog_offset=41)

    assert store.get(0, b"u1") == value(1)
    assert store.changelog_offset(0) == 41


def test_a_later_change_of_a_user_wins(store: StateStore) -> None:
    store.write(0, [(b"u1", value(1)), (b"u1", value(2))], changelog_offset=1)
    assert store.get(0, b"u1") == value(2)

    store.write(0, [(b"u1", value(3)), (b"u1", None)], changelog_offset=2)
    assert store.get(0, b"u1") is None


def test_an_offset_may_move_without_a_change(store: StateStore) -> None:
    store.write(0, [], changelog_offset=7)

    assert store.changelog_offset(0) == 7


def test_a_write_that_fails_leaves_the_offset_where_it_was(store: StateStore) -> None:
    store.write(0, [(b"u1", value(1))], changelog_offset=1)

    def breaks_off() -> Iterator[Change]:
        yield b"u1", value(2)
        raise OSError("the source broke off")

    with pytest.raises(OSError, match="broke off"):
        store.write(0, breaks_off(), changelog_offset=2)

    assert (store.get(0, b"u1"), store.changelog_offset(0)) == (value(1), 1)


def test_what_was_written_is_there_after_a_restart(store: StateStore, tmp_path: Path) -> None:
    store.write(0, [(b"u1", value(1)), (b"u2", value(2, forgotten=True))], changelog_offset=5)
    store.close_all()

    again = open_store(tmp_path, 0)

    assert list(again.users(0)) == [(b"u1", value(1)), (b"u2", value(2, forgotten=True))]
    assert again.changelog_offset(0) == 5
    assert again.markers(0) == {b"u2"}
    again.close_all()


def test_partitions_know_nothing_of_each_other(store: StateStore) -> None:
    store.open(1)
    store.write(0, [(b"u1", value(1))], changelog_offset=1)

    assert store.get(1, b"u1") is None
    assert store.changelog_offset(1) is None


def test_opening_twice_and_closing_twice_is_no_harm(store: StateStore) -> None:
    store.write(0, [(b"u1", value(1))], changelog_offset=1)
    store.open(0)
    store.open(1)
    store.close_others({0})
    store.close(1)

    assert store.get(0, b"u1") == value(1)


# --- prefixes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "user",
    [b"mchangelog_offset", b"changelog_offset", b"m", b"u", b"f", b"uu", b"fu1", b"\0", b"v"],
)
def test_a_user_may_be_named_like_our_own_keys(store: StateStore, user: bytes) -> None:
    store.write(0, [(b"u1", value(1))], changelog_offset=3)

    store.write(0, [(user, value(2, forgotten=True))], changelog_offset=4)

    assert store.get(0, user) == value(2, forgotten=True)
    assert store.get(0, b"u1") == value(1)
    assert store.changelog_offset(0) == 4
    assert store.markers(0) == {user}
    assert dict(store.users(0)) == {b"u1": value(1), user: value(2, forgotten=True)}


# --- markers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [None, value(9)])
def test_a_marker_goes_with_the_value_that_it_points_to(
    store: StateStore, tmp_path: Path, after: bytes | None
) -> None:
    store.write(0, [(b"u1", value(4, forgotten=True))], changelog_offset=1)
    assert store.markers(0) == {b"u1"}

    store.write(0, [(b"u1", after)], changelog_offset=2)

    assert store.markers(0) == frozenset()
    store.close_all()
    again = open_store(tmp_path, 0)
    assert again.markers(0) == frozenset()
    again.close_all()


users = st.sampled_from([b"u1", b"u2", b"f", b"mchangelog_offset"])
values = st.none() | st.builds(value, st.integers(0, 99), forgotten=st.booleans())
writes = st.lists(st.lists(st.tuples(users, values), max_size=4), max_size=6)


@settings(deadline=None, max_examples=15)
@given(writes)
def test_after_any_writes_the_store_is_what_a_dictionary_would_be(
    tmp_path_factory: pytest.TempPathFactory, changes: list[list[Change]]
) -> None:
    directory = tmp_path_factory.mktemp("store")
    store = open_store(directory, 0)
    expected: dict[bytes, bytes] = {}
    for offset, batch in enumerate(changes):
        store.write(0, batch, changelog_offset=offset)
        for key, new in batch:
            expected.pop(key, None)
            if new is not None:
                expected[key] = new

    for _ in ("while open", "after a restart"):
        assert dict(store.users(0)) == expected
        assert store.markers(0) == {k for k, v in expected.items() if v[-1:] == b"\xc3"}
        assert store.changelog_offset(0) == (len(changes) - 1 if changes else None)
        store.close_all()
        store = open_store(directory, 0)
    store.close_all()


def test_users_are_read_in_steps_each_once_and_in_order(store: StateStore) -> None:
    store.open(0)
    # A key that is the beginning of another, one of bytes that sort last, and one like our own.
    users = sorted([b"a", b"a\0", b"ab", b"\xff\xff", b"mchangelog_offset", "käthe".encode()])
    store.write(0, [(user, value(n)) for n, user in enumerate(users)], 9)

    for limit in (1, 2, 5, 100):
        found: list[bytes] = []
        while step := store.users_after(0, found[-1] if found else b"", limit):
            assert len(step) <= limit
            found += [user for user, _ in step]
        assert found == users
    assert store.users_after(0, b"", 1)[0][1] == value(users.index(users[0]))


def test_a_partition_may_be_closed_and_opened_while_another_thread_reads_it(
    store: StateStore,
) -> None:
    # RocksDB keeps its lock while a cursor is open, so the partition could not be opened again.
    store.open(0)
    store.write(0, [(b"u%d" % n, value(n)) for n in range(2_000)], 9)
    stop = threading.Event()
    failures: list[BaseException] = []

    def read() -> None:
        try:
            while not stop.is_set():
                assert len(store.users_after(0, b"", 1_000)) in (0, 1_000)
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(20):
        store.close(0)
        store.open(0)
    stop.set()
    thread.join()

    assert failures == []
    assert store.users_after(1, b"", 1) == []  # never opened
