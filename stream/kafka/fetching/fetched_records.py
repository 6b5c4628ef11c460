"""Fetched records: a fetch in the native core, which makes a message only when asked for one."""

from collections.abc import Sequence
from typing import Any, NamedTuple, overload

from model import native
from stream.events import Message


class FetchedMessage(NamedTuple):
    """One record: a `Message`."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


class FetchedRecords(Sequence[Message]):
    """The records from ``start`` to before ``end`` of a chunk of the native core."""

    def __init__(self, chunk: Any, start: int, end: int) -> None:
        self.chunk = chunk
        self.start = start
        self.end = end

    @classmethod
    def of(cls, messages: Sequence[Message]) -> "FetchedRecords":
        """Put messages that were parsed already into a chunk."""
        if isinstance(messages, cls):
            return messages
        records = ((m.offset, m.timestamp, m.key, m.value, m.headers) for m in messages)
        return cls(native.core.Chunk.of(records), 0, len(messages))

    def __len__(self) -> int:
        """How many records there are."""
        return self.end - self.start

    @overload
    def __getitem__(self, at: int) -> Message: ...

    @overload
    def __getitem__(self, at: slice) -> "FetchedRecords": ...

    def __getitem__(self, at: int | slice) -> "Message | FetchedRecords":
        """The message at this place, or a part of the records without a copy of them."""
        if isinstance(at, slice):
            start, end, _ = at.indices(len(self))
            return FetchedRecords(self.chunk, self.start + start, self.start + max(start, end))
        if not -len(self) <= at < len(self):
            raise IndexError(at)
        return FetchedMessage._make(self.chunk[(self.end if at < 0 else self.start) + at])
