"""The layout of a partition in RocksDB, and a read-only view of it, also while a worker runs.

Keys are prefixed, so that a user id may be any string: ``u`` + user id holds the user's value,
``f`` + user id marks a forget marker, ``m`` + name holds metadata of the partition.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from weakref import WeakSet

import rocksdict

from stream.errors import StateError
from stream.kafka.changelog import Disk

USER, MARKER = b"u", b"f"
OFFSET, WRITTEN = b"mchangelog_offset", b"mwritten_ms"
SOURCE, CHANGELOG = b"mevents_topic_id", b"mchangelog_topic_id"


class Pairs(Iterator[tuple[bytes, bytes]]):
    """The pairs whose keys have a prefix; the keys are returned without it.

    With ``after`` only those behind this key. RocksDB keeps a database open as long as one of its
    cursors, and a traceback may hold these pairs: `close` ends them, also while another thread
    reads. ``translate`` makes the error to raise of one of RocksDB's.
    """

    def __init__(
        self,
        database: rocksdict.Rdict,
        prefix: bytes,
        after: bytes | None = None,
        translate: Callable[[Exception], Exception] = lambda error: error,
    ) -> None:
        self._prefix = prefix
        self._translate = translate
        self._turn = threading.Lock()
        options = rocksdict.ReadOptions()
        options.fill_cache(False)  # type: ignore[call-arg]  # the stub lacks the argument
        self._cursor: Any = database.iter(options)
        self._cursor.seek(prefix if after is None else prefix + after + b"\0")

    def __next__(self) -> tuple[bytes, bytes]:
        with self._turn:
            cursor = self._cursor
            if cursor is None:
                raise StopIteration
            try:
                if cursor.valid():
                    key: bytes = cursor.key()
                    if key.startswith(self._prefix):
                        value: bytes = cursor.value()
                        cursor.next()
                        return key[1:], value
                cursor.status()  # raises if damage ended it, which otherwise looks like the end
            except Exception as error:
                self._cursor = cursor = None
                translated = self._translate(error)
                if translated is error:
                    raise
                raise translated from error
            self._cursor = cursor = None
            raise StopIteration

    def close(self) -> None:
        """End here, and free the database; doing it again changes nothing."""
        with self._turn:
            self._cursor = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PartitionView:
    """A read-only view of a partition; see `view`."""

    def __init__(self, database: rocksdict.Rdict) -> None:
        self._database = database
        self._reading: WeakSet[Pairs] = WeakSet()

    def get(self, key: bytes) -> bytes | None:
        """The value of one user."""
        value: bytes | None = self._database.get(USER + key)
        return value

    def changelog_offset(self) -> int | None:
        """The offset of the last changelog record applied here; None when empty."""
        value = self._database.get(OFFSET)
        return None if value is None else int(value)

    def source_id(self) -> str | None:
        """The id of the topic whose offsets are in the users' values; None if unknown."""
        value = self._database.get(SOURCE)
        return None if value is None else value.decode()

    def disk(self) -> Disk:
        """What the partition says of its changelog."""
        found, offset = self._database.get(CHANGELOG), self.changelog_offset()
        return Disk(None if found is None else found.decode(), 0 if offset is None else offset + 1)

    def users(self) -> Iterator[tuple[bytes, bytes]]:
        """Every user and value, by key; ends when the view is closed."""
        pairs = Pairs(self._database, USER)
        self._reading.add(pairs)
        return pairs

    def close(self) -> None:
        """Close it, whoever holds on to its users."""
        for pairs in self._reading:
            pairs.close()
        self._database.close()


@contextmanager
def view(partition: Path) -> Iterator[PartitionView]:
    """Open a partition's folder read-only, even while a worker has it open.

    Shows what RocksDB had written at that moment. Raises StateError if it cannot be read.
    """
    try:
        database = rocksdict.Rdict(
            str(partition),
            rocksdict.Options(raw_mode=True),
            access_type=rocksdict.AccessType.read_only(),
        )
        opened = PartitionView(database)
        try:
            yield opened
        finally:
            opened.close()
    except Exception as error:
        if not is_rocksdbs(error):
            raise
        raise StateError(
            f"{partition}: RocksDB cannot read it ({error}); try again, since a running worker may "
            "have moved a file, or name a --state-dir of Lately"
        ) from error


def is_rocksdbs(error: Exception) -> bool:
    """Whether RocksDB raised it: its errors have no type of their own, and no other has none."""
    return type(error) is Exception or isinstance(error, rocksdict.DbClosedError)
