"""The state on disk: one RocksDB per partition, with the changelog offset that it has reached."""

import fcntl
import shutil
import threading
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import IO, Any
from weakref import WeakSet

import rocksdict

from stream.errors import DamagedState, StateError
from stream.kafka.changelog import Disk
from stream.storage.disk_usage import probe
from stream.storage.open_files import ADVICE, MOST
from stream.storage.tuning import Tuning
from stream.storage.view import (
    CHANGELOG,
    MARKER,
    OFFSET,
    SOURCE,
    USER,
    WRITTEN,
    Pairs,
    is_rocksdbs,
)
from stream.user_state import is_forgotten

_KEYS = "rocksdb.estimate-num-keys"
_STAMP_AFTER_MS = 60_000  # a partition written more recently needs no new time stamp on close

Change = tuple[bytes, bytes | None]  # user id as bytes, new value; None deletes


class _OpenPartitions(dict[int, rocksdict.Rdict]):
    """The databases by partition; raises StateError for one that is not open."""

    def __missing__(self, partition: int) -> rocksdict.Rdict:
        raise StateError(f"partition {partition} is not open here; the group gave it away")


class StateStore:
    """RocksDB databases of the partitions that this worker owns.

    Every write puts the users' values and the changelog offset into one atomic batch, so a
    partition on disk is exactly its changelog up to that offset. ``on_rebuild`` is called with the
    reason for which a partition was wiped: ``corrupt``, ``ahead`` (of its changelog) or ``old``.
    ``max_open_files`` bounds the table files that a partition keeps open.
    """

    def __init__(
        self,
        directory: Path,
        on_rebuild: Callable[[str], None],
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self.max_open_files = MOST
        self._directory = directory
        self._on_rebuild = on_rebuild
        self._now_ms = now_ms
        self._partitions = _OpenPartitions()
        self._current: set[int] = set()
        self._markers: dict[int, set[bytes]] = {}  # keys of MARKER, to find them without a read
        self._reading: dict[int, WeakSet[Pairs]] = {}  # what `users` returned
        self._scanning = threading.Lock()  # while a thread reads, its partition is not closed
        # Recovery opens partitions on a thread, and a worker may end at any moment.
        self._opening = threading.RLock()
        self._is_closed = False
        self._lock: IO[bytes] | None = None
        self._tuning = Tuning()

    def lock(self) -> None:
        """Lock the directory for this process; raises StateError, with the reason, if it cannot."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            self._lock = (self._directory / "lock").open("ab")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe(self._directory / "probe")
        except BlockingIOError:
            self._unlock()
            raise StateError(
                f"{self._directory}: another worker uses it; stop it, or give each "
                "worker its own --state-dir"
            ) from None
        except OSError as error:
            self._unlock()
            raise StateError(
                f"{self._directory}: cannot write there ({error.strerror}); free space, mend the "
                "permissions, or choose another --state-dir"
            ) from error

    def open(self, partition: int) -> None:
        """Open a partition; if RocksDB finds it damaged, wipe it, to be rebuilt.

        Raises StateError when the directory cannot be used, or everything was closed.
        """
        with self._opening:
            if partition in self._partitions:
                return
            with suppress(DamagedState), self._watched(partition, "open"):
                self._open(partition)
                return
            self.wipe(partition, "corrupt")

    def close(self, partition: int) -> None:
        """Close a partition; what it holds stays on disk."""
        with self._opening, self._scanning:
            self._close(partition)

    def _close(self, partition: int) -> None:
        database = self._partitions.pop(partition, None)
        if database is not None:
            # Fails on a full disk, for example; the changelog has what is missing.
            with suppress(Exception):
                if partition in self._current and self._is_stale(database):
                    database.put(WRITTEN, self._stamp())
            # RocksDB keeps its lock while a cursor is open, and a traceback may hold one.
            for pairs in self._reading.pop(partition, ()):
                pairs.close()
            with suppress(Exception):
                database.close()
        self._current.discard(partition)

    def close_others(self, partitions: Container[int]) -> None:
        """Close the partitions that are not among these."""
        for partition in [p for p in self._partitions if p not in partitions]:
            self.close(partition)

    def close_all(self) -> None:
        """Close every partition and unlock the directory; from then on none can be opened."""
        with self._opening:
            self._is_closed = True
            for partition in list(self._partitions):
                self.close(partition)
            self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def wipe(self, partition: int, cause: str) -> None:
        """Delete a partition from disk and open it anew, empty; the changelog rebuilds it.

        Raises StateError when that is impossible.
        """
        with self._opening:
            self.close(partition)
            path = self._path(partition)
            try:
                shutil.rmtree(path)
            except FileNotFoundError:
                pass
            except OSError as error:
                raise StateError(
                    f"{path}: cannot be deleted to rebuild it ({error.strerror}); mend the disk or "
                    "the permissions, or delete it yourself, and start the worker again"
                ) from error
            with self._watched(partition, "open"):
                self._open(partition)
        self._on_rebuild(cause)

    def changelog_offset(self, partition: int) -> int | None:
        """The offset of the last changelog record applied here; None when empty."""
        with self._watched(partition, "read"):
            value = self._partitions[partition].get(OFFSET)
        return None if value is None else int(value)

    def source_id(self, partition: int) -> str | None:
        """The id of the topic whose offsets are in the users' values; None if unknown."""
        with self._watched(partition, "read"):
            value = self._partitions[partition].get(SOURCE)
        return None if value is None else value.decode()

    def note_source_id(self, partition: int, source_id: str) -> None:
        """Note the id of the topic whose offsets are in the users' values."""
        with self._watched(partition, "write"):
            self._partitions[partition].put(SOURCE, source_id.encode())

    def changelog_id(self, partition: int) -> str | None:
        """The id of the changelog that the offset belongs to; None if unknown."""
        with self._watched(partition, "read"):
            value = self._partitions[partition].get(CHANGELOG)
        return None if value is None else value.decode()

    def disk(self, partition: int) -> Disk:
        """What a partition says of its changelog."""
        offset = self.changelog_offset(partition)
        return Disk(self.changelog_id(partition), 0 if offset is None else offset + 1)

    def note_changelog(
        self, partition: int, changelog_id: str, changelog_offset: int | None = None
    ) -> None:
        """Note the id of the changelog that the offset belongs to, and a new offset with it."""
        batch = rocksdict.WriteBatch(raw_mode=True)
        batch.put(CHANGELOG, changelog_id.encode())
        if changelog_offset is not None:
            batch.put(OFFSET, b"%d" % changelog_offset)
        with self._watched(partition, "write"):
            self._partitions[partition].write(batch)

    def age_ms(self, partition: int) -> int | None:
        """How long ago it was last complete up to its changelog's end; None if unknown."""
        with self._watched(partition, "read"):
            value = self._partitions[partition].get(WRITTEN)
        return None if value is None else self._now_ms() - int(value)

    def mark_complete(self, partition: int, *, following: bool) -> None:
        """Record that it lacks nothing now: it is empty, or caught up and ``following`` on."""
        if partition in self._partitions:
            if following:
                self._current.add(partition)
            with self._watched(partition, "write"):
                self._partitions[partition].put(WRITTEN, self._stamp())

    def get(self, partition: int, key: bytes) -> bytes | None:
        """The value of one user."""
        with self._watched(partition, "read"):
            value: bytes | None = self._partitions[partition].get(USER + key)
        return value

    def get_many(self, partition: int, keys: Sequence[bytes]) -> list[bytes | None]:
        """The values of many users, in the order of the keys."""
        with self._watched(partition, "read"):
            values: Any = self._partitions[partition].get([USER + key for key in keys])
        return list(values)

    def write(self, partition: int, changes: Iterable[Change], changelog_offset: int) -> None:
        """Write values and the changelog offset atomically; a later change of a key wins.

        Does nothing for a closed partition: it has a new owner, who reads the changelog. Raises
        DamagedState, or StateError when the disk cannot be written.
        """
        database = self._partitions.get(partition)
        if database is None:
            return
        batch = rocksdict.WriteBatch(raw_mode=True)
        markers = self._markers[partition]
        for key, value in changes:
            if value is None:
                batch.delete(USER + key)
            else:
                batch.put(USER + key, value)
                if is_forgotten(value):
                    batch.put(MARKER + key, b"")
                    markers.add(key)
                    continue
            if key in markers:
                batch.delete(MARKER + key)
                markers.discard(key)
        batch.put(OFFSET, b"%d" % changelog_offset)
        if partition in self._current:
            batch.put(WRITTEN, self._stamp())
        with self._watched(partition, "write"):
            database.write(batch)

    def markers(self, partition: int) -> frozenset[bytes]:
        """The users whose value is a forget marker."""
        return frozenset(self._markers[partition])

    def users(self, partition: int) -> Iterator[tuple[bytes, bytes]]:
        """Every user and value of a partition, by key; ends when the partition is closed.

        Raises DamagedState, where damage shows only here.
        """
        pairs = Pairs(
            self._partitions[partition],
            USER,
            translate=lambda error: self._as_ours(partition, "read", error),
        )
        self._reading.setdefault(partition, WeakSet()).add(pairs)
        return pairs

    def users_after(self, partition: int, key: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """The next users and values behind a key; none of a closed partition.

        May be called on any thread, and leaves RocksDB's cache to the users who act.
        """
        with self._scanning:
            database = self._partitions.get(partition)
            if database is None:
                return []
            with self._watched(partition, "read"), Pairs(database, USER, after=key) as pairs:
                return list(islice(pairs, limit))

    def estimate_users(self) -> int:
        """About how many users are on disk, over all open partitions."""
        with self._scanning:
            databases = list(self._partitions.values())
            return sum(database.property_int_value(_KEYS) or 0 for database in databases)

    def _is_stale(self, database: rocksdict.Rdict) -> bool:
        return self._now_ms() - int(database.get(WRITTEN) or 0) > _STAMP_AFTER_MS

    def _stamp(self) -> bytes:
        return b"%d" % self._now_ms()

    def _path(self, partition: int) -> Path:
        return self._directory / f"partition-{partition}"

    def _open(self, partition: int) -> None:
        if self._is_closed:
            raise StateError(f"partition {partition} is not opened: the process ends")
        options = self._tuning.options(self.max_open_files)
        database = rocksdict.Rdict(str(self._path(partition)), options)
        try:
            database.get(OFFSET)  # RocksDB checks a file's blocks only when it reads them
            self._markers[partition] = _markers(database)
        except BaseException:
            database.close()
            raise
        self._partitions[partition] = database

    @contextmanager
    def _watched(self, partition: int, what: str) -> Iterator[None]:
        """Turn an error of RocksDB, which has no narrower type, into one of ours."""
        try:
            yield
        except Exception as error:
            ours = self._as_ours(partition, what, error)
            if ours is error:
                raise
            raise ours from error

    def _as_ours(self, partition: int, what: str, error: Exception) -> Exception:
        # It raises the system's own error where it cannot make a folder, say.
        if not (is_rocksdbs(error) or isinstance(error, OSError)):
            return error
        if _is_damage(error):
            return DamagedState(partition, error)
        other = "free disk space, or stop the process that uses it"
        advice = ADVICE if "Too many open files" in str(error) else other
        return StateError(f"{self._path(partition)}: RocksDB cannot {what} it ({error}); {advice}")


def _markers(database: rocksdict.Rdict) -> set[bytes]:
    with Pairs(database, MARKER) as pairs:
        return {key for key, _ in pairs}


def _is_damage(error: Exception) -> bool:
    """Whether a rebuild helps: RocksDB reports damage by the text of its message alone."""
    text = str(error)
    return text.startswith(("Corruption", "Invalid argument")) or "No such file" in text
