"""Damage, locks and disks that refuse: wiped when a rebuild mends it, else one line and no more."""

import errno
import os
import resource
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
import rocksdict

from stream.errors import DamagedState, StateError
from stream.storage.store import StateStore
from stream.storage.view import view
from stream.user_state import UserState

USERS = 300


class Shop:
    """A state directory with some users in it, and what its store said of rebuilds."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.causes: list[str] = []
        self.store = self.new_store()

    def new_store(self) -> StateStore:
        return StateStore(self.directory, self.causes.append)

    def open(self) -> StateStore:
        self.store = self.new_store()
        self.store.lock()
        self.store.open(0)
        return self.store

    def fill(self) -> None:
        """Write users into a table file, every seventh a forget marker."""
        store = self.open()
        changes = []
        for n in range(USERS):
            state = UserState()
            state.applied_offset, state.forgotten = n, n % 7 == 0
            state.items = [os.urandom(8).hex()]  # no compressing it to nothing
            changes.append((b"user-%d" % n, state.to_bytes()))
        store.write(0, changes, changelog_offset=USERS - 1)
        store._partitions[0].flush()
        store.close_all()

    def files(self, pattern: str) -> list[Path]:
        found = sorted((self.directory / "partition-0").glob(pattern))
        assert found, f"no {pattern}"
        return found


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    shop = Shop(tmp_path / "state")
    shop.fill()
    yield shop
    shop.store.close_all()


def garbage(path: Path) -> None:
    path.write_bytes(os.urandom(path.stat().st_size))


def nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [garbage, nothing, Path.unlink], ids=lambda d: d.__name__)
@pytest.mark.parametrize("pattern", ["CURRENT", "MANIFEST-*", "*.sst"])
def test_a_damaged_file_is_found_the_partition_wiped_and_the_rebuild_counted(
    shop: Shop, pattern: str, damage: Callable[[Path], None]
) -> None:
    for path in shop.files(pattern):
        damage(path)

    store = shop.open()

    assert shop.causes == ["corrupt"]
    assert store.changelog_offset(0) is None
    assert list(store.users(0)) == []
    store.write(0, [(b"u1", b"\1")], changelog_offset=0)
    assert store.get(0, b"u1") == b"\1"


@pytest.mark.parametrize("share", [0.02, 0.2, 0.5, 0.8])
def test_a_flipped_byte_in_a_table_is_damage_too_wherever_it_is(shop: Shop, share: float) -> None:
    (path,) = shop.files("*.sst")
    data = bytearray(path.read_bytes())
    data[int(len(data) * share)] ^= 0xFF
    path.write_bytes(data)

    store = shop.open()

    # Either the whole partition is rebuilt now, or what is read later is right or refused.
    if not shop.causes:
        assert store.changelog_offset(0) == USERS - 1
        assert len(store.markers(0)) == len(range(0, USERS, 7))


def test_a_partition_that_is_wiped_can_be_filled_again(shop: Shop) -> None:
    store = shop.open()

    store.wipe(0, "ahead")

    assert shop.causes == ["ahead"]
    assert store.changelog_offset(0) is None
    assert store.markers(0) == frozenset()
    store.write(0, [(b"u1", b"\1")], changelog_offset=0)
    assert store.get(0, b"u1") == b"\1"


# --- what no rebuild mends ------------------------------------------------------------------------


def one_line(error: pytest.ExceptionInfo[StateError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_directory_in_use_is_refused_by_name(shop: Shop) -> None:
    shop.open()

    with pytest.raises(StateError, match=r"another worker uses it; .*--state-dir") as error:
        shop.new_store().lock()
    assert str(shop.directory) in one_line(error)


def test_a_directory_that_was_given_up_may_be_taken(shop: Shop) -> None:
    shop.open().close_all()

    shop.open()


def test_a_partition_that_another_process_holds_is_not_wiped(shop: Shop) -> None:
    shop.open()
    second = shop.new_store()  # by-passes the lock of the directory, but not RocksDB's own

    with pytest.raises(
        StateError, match=r"cannot open it .*stop the process that uses it"
    ) as error:
        second.open(0)
    assert one_line(error)
    assert shop.causes == []


def test_a_file_in_place_of_the_directory_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")

    with pytest.raises(StateError, match=r"cannot write there .*--state-dir") as error:
        Shop(tmp_path / "state").store.lock()
    assert one_line(error)


def test_a_file_in_place_of_a_partition_is_one_line(tmp_path: Path) -> None:
    shop = Shop(tmp_path)
    (tmp_path / "partition-0").write_text("a file")

    with pytest.raises(StateError, match="cannot open it") as error:
        shop.open()
    assert one_line(error)
    shop.store.close_all()


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes where nobody may")
def test_a_read_only_directory_is_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)

    with pytest.raises(StateError, match=r"cannot write there .*permissions") as error:
        Shop(tmp_path / "state").store.lock()
    assert one_line(error)


def test_a_full_disk_is_found_before_the_first_event(tmp_path: Path) -> None:
    (tmp_path / "probe").symlink_to("/dev/full")

    with pytest.raises(StateError, match=r"No space left on device.*free space") as error:
        Shop(tmp_path).store.lock()
    assert one_line(error)


@contextmanager
def no_file_grows_beyond(limit: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)


def test_a_disk_that_takes_no_more_is_a_state_error_and_moves_no_offset(shop: Shop) -> None:
    store = shop.open()
    large = [(b"user-%d" % n, os.urandom(1000)) for n in range(1000)]

    with no_file_grows_beyond(100_000), pytest.raises(StateError) as error:
        store.write(0, large, changelog_offset=USERS)

    assert one_line(error)
    assert store.changelog_offset(0) == USERS - 1
    store.close_all()  # the worker ends, and nothing else may go wrong on its way out


def test_damage_that_shows_when_forget_markers_are_read_is_rebuilt(shop: Shop) -> None:
    # So many that their first block holds nothing else: what is read by key before is whole.
    store = shop.open()
    forgotten = UserState()
    forgotten.forgotten = True
    gone = [(os.urandom(20), forgotten.to_bytes()) for _ in range(3_000)]
    store.wipe(0, "corrupt")
    store.write(0, gone, changelog_offset=7)
    store._partitions[0].flush()
    store.close_all()
    (file,) = shop.files("*.sst")
    content = bytearray(file.read_bytes())
    content[100] ^= 0xFF
    file.write_bytes(content)

    store = shop.open()

    assert store.changelog_offset(0) is None
    assert shop.causes == ["corrupt", "corrupt"]


@pytest.mark.parametrize("ended", [False, True])
def test_a_partition_can_be_wiped_while_somebody_holds_on_to_its_users(
    shop: Shop, ended: bool
) -> None:
    # RocksDB's lock lives as long as its last cursor, and a traceback may keep one alive.
    store = shop.open()
    users = store.users(0)
    held = [next(users)] if not ended else list(users)

    store.wipe(0, "corrupt")

    assert held
    assert list(users) == []
    assert list(store.users(0)) == []


def test_a_partition_can_be_closed_and_made_anew_while_a_thread_reads_its_users(
    shop: Shop,
) -> None:
    store = shop.open()
    changes = [(b"more-%d" % n, UserState().to_bytes()) for n in range(20_000)]
    store.write(0, changes, changelog_offset=USERS)
    users, reads, seen = store.users(0), threading.Event(), list[int]()

    def read() -> None:
        for n, _ in enumerate(users):
            reads.set()
            seen.append(n)

    reading = threading.Thread(target=read)
    reading.start()
    assert reads.wait(10)
    store.wipe(0, "corrupt")
    reading.join(10)

    assert not reading.is_alive()
    assert list(store.users(0)) == []


def test_a_partition_that_two_threads_open_at_once_is_open(shop: Shop) -> None:
    for _ in range(5):
        store = shop.new_store()
        with ThreadPoolExecutor(4) as threads:
            opened = [threads.submit(store.open, 0) for _ in range(4)]
        assert [future.result() for future in opened] == [None] * 4
        store.close_all()


def test_a_partition_that_is_opened_while_the_process_ends_is_not_left_open(shop: Shop) -> None:
    # Recovery opens partitions on a thread, which nobody can stop.
    store = shop.open()
    store.close_all()

    with pytest.raises(StateError, match="partition 0 is not opened: the process ends") as kept:
        store.open(0)
    with pytest.raises(StateError, match="the process ends"):
        store.wipe(0, "corrupt")

    assert kept
    assert shop.open().changelog_offset(0) is None


def test_a_lock_that_was_not_got_whole_is_given_back(tmp_path: Path) -> None:
    (tmp_path / "probe").symlink_to("/dev/full")
    with pytest.raises(StateError, match="No space left") as kept:
        Shop(tmp_path).store.lock()
    (tmp_path / "probe").unlink()

    store = Shop(tmp_path).store
    store.lock()

    assert kept
    store.close_all()


def damage_the_middle(shop: Shop) -> None:
    store = shop.open()
    changes = [(b"more-%d" % n, os.urandom(60)) for n in range(3_000)]
    store.write(0, changes, changelog_offset=USERS)
    store._partitions[0].flush()
    store.close_all()
    path = max(shop.files("*.sst"), key=lambda file: file.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.parametrize(
    "read",
    [
        lambda store: sum(1 for _ in store.users(0)),
        lambda store: store.users_after(0, b"", 10_000),
        lambda store: [store.get(0, b"more-%d" % n) for n in range(3_000)],
        lambda store: store.get_many(0, [b"more-%d" % n for n in range(3_000)]),
    ],
    ids=["users", "users_after", "get", "get_many"],
)
def test_damage_that_shows_only_when_users_are_read_is_mended_by_a_wipe(
    shop: Shop, read: Callable[[StateStore], object]
) -> None:
    damage_the_middle(shop)
    store = shop.open()

    with pytest.raises(DamagedState) as kept:
        read(store)
    store.wipe(0, "corrupt")

    assert kept  # and so its traceback, and all that its frames hold
    assert list(store.users(0)) == []


def test_a_view_ends_the_reading_of_whoever_holds_on_to_its_users(shop: Shop) -> None:
    with view(shop.directory / "partition-0") as stored:
        users = stored.users()
        first = next(users)

    assert first
    assert list(users) == []


def test_a_partition_that_cannot_be_deleted_ends_in_one_line(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shop.open()

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(shutil, "rmtree", refuse)

    with pytest.raises(StateError, match=r"cannot be deleted .* \(Permission denied\)"):
        store.wipe(0, "old")
    assert shop.causes == []


def test_a_partition_that_cannot_be_made_anew_ends_in_one_line(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = shop.open()

    def full(*_: object) -> None:
        raise Exception("IO error: No space left on device: While appending to file")

    monkeypatch.setattr(rocksdict, "Rdict", full)

    with pytest.raises(StateError, match=r"RocksDB cannot open it \(IO error: No space left"):
        store.wipe(0, "old")
    assert shop.causes == []


def test_a_partition_that_is_not_on_disk_can_be_wiped(shop: Shop) -> None:
    store = shop.open()
    store.close(0)
    shutil.rmtree(shop.directory / "partition-0")

    store.wipe(0, "asked")

    assert (list(store.users(0)), shop.causes) == ([], ["asked"])


@pytest.mark.parametrize(
    ("mistake", "kind"),
    [
        (lambda store: store.get(0, "text"), TypeError),
        (lambda store: store.get_many(0, [3]), TypeError),
    ],
)
def test_a_mistake_of_ours_is_not_called_a_damaged_disk(
    shop: Shop, mistake: Callable[[StateStore], object], kind: type[Exception]
) -> None:
    with pytest.raises(kind):
        mistake(shop.open())


def test_a_mistake_of_a_reader_is_not_called_one_either(shop: Shop) -> None:
    with pytest.raises(ZeroDivisionError), view(shop.directory / "partition-0"):
        _ = 1 / 0


def test_a_partition_that_is_not_open_is_named(shop: Shop) -> None:
    with pytest.raises(StateError, match="partition 7 is not open here"):
        shop.open().get(7, b"u")
