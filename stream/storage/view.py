"""The layout of a partition in RocksDB, and a read-only view of it, also while a worker runs.

Keys are prefixed, so that a user id may be any string: ``u`` + user id holds the user's value,
``f`` + user id marks a forget marker, ``m`` + name holds metadata of the partition.
"""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import rocksdict

from stream.errors import StateError

USER, MARKER = b"u", b"f"
OFFSET, WRITTEN, SOURCE = b"mchangelog_offset", b"mwritten_ms", b"mevents_topic_id"
Pairs = Generator[tuple[bytes, bytes], None, None]


class PartitionView:
    """A read-only view of a partition; see `view`."""

    def __init__(self, database: rocksdict.Rdict) -> None:
        self._database = database

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

    def users(self) -> Iterator[tuple[bytes, bytes]]:
        """Every user and value, by key."""
        return pairs_of(self._database, USER)


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
        try:
            yield PartitionView(database)
        finally:
            database.close()
    except Exception as error:
        if not is_rocksdbs(error):
            raise
        raise StateError(
            f"{partition}: RocksDB cannot read it ({error}); try again, since a running worker may "
            "have moved a file, or name a --state-dir of Lately"
        ) from error


def pairs_of(database: rocksdict.Rdict, prefix: bytes, after: bytes | None = None) -> Pairs:
    """The pairs whose keys have this prefix; the keys are returned without it.

    With ``after`` only those behind this key.
    """
    options = rocksdict.ReadOptions()
    options.fill_cache(False)  # type: ignore[call-arg]  # the stub lacks the argument
    cursor = database.iter(options)
    try:
        cursor.seek(prefix if after is None else prefix + after + b"\0")
        while cursor.valid():
            key: Any = cursor.key()
            if not key.startswith(prefix):
                break
            value: Any = cursor.value()
            yield key[1:], value
            cursor.next()
        cursor.status()  # raises if damage ended the loop, which otherwise looks like the end
    finally:
        del cursor  # closes it: the frame, and a traceback with it, may live on


def is_rocksdbs(error: Exception) -> bool:
    """Whether RocksDB raised it: its errors have no type of their own, and no other has none."""
    return type(error) is Exception or isinstance(error, rocksdict.DbClosedError)
