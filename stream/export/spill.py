"""Valid events on disk, divided by user, until the end of the topic has told who is forgotten."""

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO
from zlib import crc32

import msgspec

BUCKETS = 128  # open files; macOS allows 256
_BUFFER_BYTES = 64 * 1024


class Row(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """What an export keeps of an event."""

    user_id: str
    partition: int
    offset: int
    timestamp_ms: int  # of the Kafka record; -1 if it has none
    ts_ms: int
    action: str
    item_id: str
    event_id: str | None = None
    session_id: str | None = None
    category: str | None = None
    price: float | None = None
    quantity: float | None = None


class Spill:
    """Rows in files of a folder: all of a user in one file, in the order in which they came.

    So a file has all there is to know of its users, and only their number, not that of their
    events, has to fit into memory. Close it before it is read.
    """

    def __init__(self, folder: Path, buckets: int = BUCKETS) -> None:
        self.rows = 0
        self._paths = [folder / f"{number}.rows" for number in range(buckets)]
        self._open = ExitStack()
        self._files: list[IO[bytes]] = []
        self._encode = msgspec.json.Encoder().encode

    def __enter__(self) -> "Spill":
        with ExitStack() as opening:
            self._files = [
                opening.enter_context(path.open("wb", buffering=_BUFFER_BYTES))
                for path in self._paths
            ]
            self._open = opening.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def add(self, rows: Iterable[Row]) -> None:
        """Write rows, each a line of its user's file."""
        files, encode = self._files, self._encode
        for row in rows:
            files[crc32(row.user_id.encode()) % len(files)].write(encode(row) + b"\n")
            self.rows += 1

    def buckets(self) -> Iterator["Bucket"]:
        """Every file that was written."""
        return map(Bucket, self._paths)


class Bucket:
    """The rows of some users; may be read several times."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __iter__(self) -> Iterator[Row]:
        decode = msgspec.json.Decoder(Row).decode
        with self._path.open("rb") as lines:
            for line in lines:
                yield decode(line)

    def remove(self) -> None:
        """Free its disk."""
        self._path.unlink()
