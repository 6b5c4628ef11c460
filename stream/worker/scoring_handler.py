"""The scoring handler: what the worker does with the partitions that the group assigns to it."""

import asyncio
import time
from asyncio import Future, Queue, Task
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import structlog

from stream.errors import FencedError
from stream.events import Message
from stream.group.offset_metadata import OffsetMetadata
from stream.kafka.changelog import Disk
from stream.kafka.commits import CommitNote
from stream.kafka.write_fence import WriteFence
from stream.pipeline.pipeline import Pipeline
from stream.storage.recovery import Recovery
from stream.storage.store import StateStore
from stream.user_state import applied_offset_of
from stream.worker.memory import collect_cycles
from stream.worker.score_repair import ScoreRepair, ScoresTail

READING_S = 10.0  # reading takes longer for a long changelog, or a broker that does not answer
_log = structlog.get_logger(__name__)


class Source(Protocol):
    """What the handler asks about the events topic: `stream.worker.source_watch`."""

    @property
    def events_id(self) -> str | None:
        """The id of the topic as of the last assignment."""
        ...

    async def examine(
        self, committed: Mapping[int, OffsetMetadata | None], state_ids: Iterable[str]
    ) -> dict[int, int]:
        """The offset of the next event of each partition; raises TopicsError.

        ``state_ids`` are the ids of the topics that the states on disk are of.
        """
        ...

    async def check_states(self, newest: Mapping[int, int]) -> None:
        """Raise TopicsError if states hold events of another topic."""
        ...

    def count_skipped(self, offsets: Mapping[int, int], newest: Mapping[int, int]) -> None:
        """Count what lies between the newest events in states and offsets that a tool has set."""
        ...


class Changelog(Protocol):
    """What the handler asks about the changelog: `stream.worker.changelog_check`."""

    @property
    def id(self) -> str | None:
        """The id of the topic as of the last assignment."""
        ...

    async def examine(
        self, committed: Mapping[int, OffsetMetadata | None], disks: Mapping[int, Disk]
    ) -> list[int]:
        """The partitions whose disk is to be wiped; raises TopicsError."""
        ...


class ScoringHandler:
    """Recovers user state, repairs stale scores, then feeds the pipeline: a `PartitionHandler`.

    ``ensure_owner`` raises TopicsError if the scores topic is not ours but one of these groups',
    which wrote to these partitions. ``now_ms`` is the time since the epoch.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        recovery: Recovery,
        repair: ScoreRepair,
        store: StateStore,
        fence: WriteFence,
        scores_topic: str,
        source: Source,
        changelog: Changelog,
        ensure_owner: Callable[[Mapping[str, Iterable[int]]], Awaitable[None]],
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._pipeline = pipeline
        self._recovery = recovery
        self._repair = repair
        self._store = store
        self._fence = fence
        self._scores_topic = scores_topic
        self._source = source
        self._changelog = changelog
        self._ensure_owner = ensure_owner
        self._now_ms = now_ms
        self._since_ms: dict[int, int | None] = {}  # when each partition's scores were claimed
        self.failed: Future[None] = pipeline.failed
        self.fenced: Queue[FencedError] = pipeline.fenced

    async def recover(self, committed: Mapping[int, OffsetMetadata | None]) -> None:
        """Bring the state of these partitions up to date, and begin to score their users."""
        self._store.close_others(committed)
        begins = await self._source.examine(committed, self._state_ids(committed))
        for number in await self._changelog.examine(committed, self._disks(committed)):
            _log.warning("state is of an earlier changelog: rebuilding", partition=number)
            await asyncio.to_thread(self._store.wipe, number, "old")
        tails = await self._read_and_recover(committed)
        collect_cycles()
        fresh = [number for number, commit in committed.items() if commit is None]
        await self._source.check_states(self._newest_offsets(fresh))
        self._source.count_skipped(*self._set_by_tools(committed))
        others = _other_groups(tails)
        if others:
            await self._ensure_owner(others)
        await self._repair.repair(tails)
        if others:
            self._fence.tolerate(self._scores_topic)
            _log.warning("another group writes to our scores topic", groups=sorted(others))
        self._note_topics(committed)
        self._since_ms = {number: self._claimed_ms(c) for number, c in committed.items()}
        self._pipeline.assign(committed, begins)

    async def _read_and_recover(
        self, committed: Mapping[int, OffsetMetadata | None]
    ) -> dict[int, ScoresTail]:
        reading = asyncio.create_task(self._repair.read(committed))
        recovering = asyncio.create_task(self._recovery.recover(committed))
        waiting = asyncio.create_task(_say_what_is_read({"scores": reading, "states": recovering}))
        try:
            return (await asyncio.gather(reading, recovering))[0]
        finally:
            # After an error of one, the other would read on, and write to a disk that is given up.
            tasks = (reading, recovering, waiting)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _state_ids(self, partitions: Iterable[int]) -> set[str]:
        for number in partitions:
            self._store.open(number)
        ids = {self._store.source_id(number) for number in partitions}
        return {known for known in ids if known is not None}

    def _disks(self, partitions: Iterable[int]) -> dict[int, Disk]:
        return {number: self._store.disk(number) for number in partitions}

    def _note_topics(self, partitions: Iterable[int]) -> None:
        """Note on disk, too, which topics offsets are of: Kafka deletes commits with a topic."""
        events_id, changelog_id = self._source.events_id, self._changelog.id
        for number in partitions:
            if events_id is not None and self._store.source_id(number) != events_id:
                self._store.note_source_id(number, events_id)
            if changelog_id is not None and self._store.changelog_id(number) != changelog_id:
                self._store.note_changelog(number, changelog_id)

    def _set_by_tools(
        self, committed: Mapping[int, OffsetMetadata | None]
    ) -> tuple[dict[int, int], dict[int, int]]:
        """The offsets that no worker committed, and the highest in the states there."""
        offsets = {
            number: commit.offset
            for number, commit in committed.items()
            if commit is not None and CommitNote.decode(commit.metadata) == CommitNote()
        }
        return offsets, self._newest_offsets(offsets)

    def _newest_offsets(self, partitions: Iterable[int]) -> dict[int, int]:
        """The highest offset in the states of each partition that has states."""
        newest = {
            number: max(
                (applied_offset_of(value) for _, value in self._store.users(number)), default=-1
            )
            for number in partitions
        }
        return {number: offset for number, offset in newest.items() if offset >= 0}

    def _claimed_ms(self, committed: OffsetMetadata | None) -> int | None:
        """Since when our group claims the scores topic; None: before it noted when."""
        note = None if committed is None else CommitNote.decode(committed.metadata)
        if note is None or note.scores_topic not in (None, self._scores_topic):
            return self._now_ms()
        return note.since_ms

    async def ingest(self, partition: int, messages: Sequence[Message]) -> None:
        """Validate and fold these messages; return when there is room for more."""
        await self._pipeline.ingest(partition, messages)

    async def drain(self, timeout_s: float) -> bool:
        """Score and write every waiting user; False if the time runs out first."""
        return await self._pipeline.drain(timeout_s)

    async def revoke(self, timeout_s: float) -> bool:
        """Give up all partitions; False if batches are still in flight after this time."""
        self._pipeline.revoke()
        self._fence.reset({})  # from now on the next owner may write there
        return await self._pipeline.wait_idle(timeout_s)

    def offsets(self) -> dict[int, OffsetMetadata]:
        """The safe offsets, each with a note for the next assignment, and for other groups."""
        scores_ends, events_id = self._fence.ends(self._scores_topic), self._source.events_id
        changelog_id = self._changelog.id
        return {
            partition: OffsetMetadata(
                offset,
                CommitNote(
                    scores_ends.get(partition),
                    self._scores_topic,
                    self._since_ms.get(partition),
                    events_id,
                    changelog_id,
                    None if changelog_id is None else self._store.disk(partition).end,
                ).encode(),
            )
            for partition, offset in self._pipeline.positions().items()
        }

    def mark_committed(self, offsets: Mapping[int, int]) -> None:
        """Let forget markers expire that these offsets have passed."""
        self._pipeline.mark_committed(offsets)

    def release(self, error: FencedError) -> None:
        """Give up all partitions until the group assigns them again."""
        self._pipeline.release(error)

    def fail(self, error: BaseException) -> None:
        """Commit nothing more; the worker ends with this error."""
        self._pipeline.fail(error)


async def _say_what_is_read(reading: "Mapping[str, Task[Any]]") -> None:
    while True:
        await asyncio.sleep(READING_S)
        left = [name for name, task in reading.items() if not task.done()]
        _log.info("not ready: still reading what was written before the assignment", left=left)


def _other_groups(tails: Mapping[int, ScoresTail]) -> dict[str, list[int]]:
    """The other groups that wrote scores, with the partitions."""
    others: dict[str, list[int]] = {}
    for number, tail in tails.items():
        for group in tail.groups:
            others.setdefault(group, []).append(number)
    return others
