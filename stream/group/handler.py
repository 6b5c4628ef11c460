"""The partition handler: what a consumer group needs from whoever processes its partitions."""

from asyncio import Future, Queue
from collections.abc import Mapping, Sequence
from typing import Protocol

from stream.errors import FencedError
from stream.events import Message
from stream.group.offset_metadata import OffsetMetadata


class PartitionHandler(Protocol):
    """Processes the records of the assigned partitions and says which offsets may be committed.

    The group calls `recover` after every assignment, then `ingest`; before partitions are revoked
    `drain`, if they are still ours, and always `revoke`. Offsets are committed as `offsets` allows.
    """

    failed: "Future[None]"
    """Set with an exception as soon as nothing more may be committed; the process then ends."""

    fenced: "Queue[FencedError]"
    """Receives an error when partitions were released because another writer used our topics; the
    group then rejoins. Holds at most one."""

    async def recover(self, committed: Mapping[int, OffsetMetadata | None]) -> None:
        """Take over exactly these partitions, and restore their state up to the present.

        ``committed`` has the group's last commit of each, None where there is none. Raises
        LatelyError or KafkaError when that is impossible, which ends the process, and FencedError
        to rejoin.
        """
        ...

    async def ingest(self, partition: int, messages: Sequence[Message]) -> None:
        """Take records of one partition in offset order; return when there is room for more.

        Each record comes once per assignment. After `revoke` late ones are ignored.
        """
        ...

    async def drain(self, timeout_s: float) -> bool:
        """Finish everything ingested so far; False if the time runs out first."""
        ...

    async def revoke(self, timeout_s: float) -> bool:
        """Give up all partitions, and wait until nothing of theirs is in flight any more.

        Unfinished records are dropped; their next owner reads them again. False if the time runs
        out first.
        """
        ...

    def offsets(self) -> dict[int, OffsetMetadata]:
        """What may be committed now: everything below each offset is processed durably."""
        ...

    def mark_committed(self, offsets: Mapping[int, int]) -> None:
        """Take note of committed offsets; called after every commit interval, perhaps with none."""
        ...

    def release(self, error: FencedError) -> None:
        """Give up all partitions at once because of another writer; put the error on `fenced`."""
        ...

    def fail(self, error: BaseException) -> None:
        """Set `failed`; the first error wins."""
        ...
