"""Users on the native core are those of the reference: who waits, who is busy, what is taken."""

from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from stream.events import DeadLetter, Message
from stream.pipeline.users.users import Folded, Snapshot, Users
from stream.storage.store import StateStore
from stream.user_state import UserState
from tests.native.random_events import broken, random_message
from tests.stream.fakes import click, forget
from tests.stream.world import CORES, RULES, VALIDATOR

core = pytest.importorskip("lately_native", reason="needs the native core: make native")

KEYS = [b"u1", b"u2", "ü".encode(), b"nobody"]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = StateStore(tmp_path, lambda cause: None)
    store.lock()
    store.open(0)
    yield store
    store.close_all()


def both(store: StateStore, limit: int = 1000) -> list[Users]:
    """The reference first."""
    kinds: list[Any] = [CORES["python"], CORES["native"]]
    return [kind(0, store, limit, VALIDATOR, RULES) for kind in kinds]


def message_fields(message: Message) -> tuple[Any, ...]:
    headers = tuple(message.headers)
    return message.offset, message.timestamp, message.key, message.value, headers


def letter_fields(letter: DeadLetter) -> tuple[Any, ...]:
    return message_fields(letter.message), letter.reason, letter.exception, letter.text


def folded_fields(folded: Folded) -> tuple[Any, ...]:
    forgets = [(forget.event.key, forget.event.offset, forget.removed) for forget in folded.forgets]
    return dict(folded.outcomes), folded.waiting, forgets, list(map(letter_fields, folded.dead))


def snapshot_fields(snapshot: Snapshot) -> tuple[Any, ...]:
    return (
        snapshot.start,
        snapshot.forgotten,
        len(snapshot),
        snapshot.first_key,
        list(snapshot.sequences()),
        snapshot.first_times_ms().tolist(),
        [message_fields(snapshot.last_message(row)) for row in range(len(snapshot))],
        list(snapshot.changes()),
    )


def in_memory(users: Users) -> tuple[Any, ...]:
    def is_what(key: bytes) -> tuple[bool, bool, bytes]:
        return users.is_waiting(key), users.is_busy(key), users.state(key).to_bytes()

    return users.oldest_waiting(), [is_what(key) for key in KEYS]


@pytest.mark.parametrize("seed", range(8))
def test_lists_of_messages_and_batches_in_any_order_come_to_the_same(
    store: StateStore, seed: int
) -> None:
    random, (reference, native) = Random(seed), both(store)
    offset, flying = 0, list[tuple[Snapshot, Snapshot]]()
    for _ in range(40):
        messages: list[Message] = []
        for _ in range(random.randrange(1, 12)):
            offset += random.choice((1, 1, 1, 2))
            message = random_message(random, offset)
            messages.append(broken(random, message) if random.random() < 0.2 else message)
        assert folded_fields(native.fold(messages)) == folded_fields(reference.fold(messages))
        if random.random() < 0.5:
            count = random.randrange(1, 4)
            taken = reference.take(count), native.take(count)
            assert snapshot_fields(taken[1]) == snapshot_fields(taken[0])
            flying.append(taken)
        if flying and random.random() < 0.4:
            first, second = flying.pop(0)
            store.write(0, first.changes(), changelog_offset=offset)
            reference.settle(first, {})
            native.settle(second, {})
            for users in (reference, native):
                users.make_room()
        assert in_memory(native) == in_memory(reference)


def test_a_user_on_disk_is_read_once_and_goes_on(store: StateStore) -> None:
    before = both(store)[0]
    before.fold([click("u1", offset=0), forget("u2", offset=1)])
    store.write(0, before.take(2).changes(), changelog_offset=0)

    messages = [click("u1", offset=0), click("u1", offset=2), click("u2", offset=3)]
    taken = []
    for users in both(store):
        assert users.fold(messages).outcomes == {"replayed": 1, "applied": 2}
        taken.append(snapshot_fields(users.take(2)))

    assert taken[1] == taken[0]


def test_a_value_that_another_version_wrote_is_read_by_python(store: StateStore) -> None:
    value = UserState.expired(5).to_bytes()
    longer = value[:2] + b"\xcc\x05" + value[3:]  # the same offset, in two bytes
    store.write(0, [(b"u1", longer)], changelog_offset=0)

    for users in both(store):
        assert users.fold([click(offset=5), click(offset=6)]).outcomes == {
            "replayed": 1,
            "applied": 1,
        }


def test_who_is_busy_is_not_evicted(store: StateStore) -> None:
    for users in both(store, limit=1):
        users.fold([click(f"u{n}", offset=n) for n in range(4)])
        snapshot = users.take(2)  # u0 and u1 are being written, u2 and u3 wait
        users.make_room()
        assert len(users) == 4

        users.settle(snapshot, {})
        users.make_room()
        assert [users.is_busy(b"u%d" % n) for n in range(4)] == [False, False, True, True]
        assert len(users) == 2


def test_who_is_being_deleted_stays_until_that_is_on_disk(store: StateStore) -> None:
    held = {b"u1": None}
    for users in both(store, limit=0):
        users.fold([click(offset=3)])
        users.settle(users.take(1), {})
        users.hold(held)
        users.expire(b"u1")
        users.make_room()

        assert users.is_busy(b"u1")
        assert len(users) == 1
        assert users.fold([click(offset=3)]).outcomes == {"replayed": 1}  # not brought back
        users.settle(None, held)
        assert not users.is_busy(b"u1")
        users.drop(b"u1")
        assert len(users) == 0


def test_a_user_who_comes_back_while_being_deleted_begins_anew(store: StateStore) -> None:
    held = {b"u1": None}
    taken = []
    for users in both(store):
        users.fold([click(offset=3)])
        users.settle(users.take(1), {})
        users.hold(held)
        users.expire(b"u1")
        users.fold([click(offset=4)])
        taken.append(snapshot_fields(users.take(1)))

    assert taken[0] == taken[1]
    assert [sequence.items for sequence in taken[1][4]] == [("i4",)]
