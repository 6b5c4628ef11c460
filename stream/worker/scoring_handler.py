"""The scoring handler: what the worker does with the partitions that the group assigns to it."""

import asyncio
from asyncio import Future, Queue
from collections.abc import Mapping, Sequence

from stream.errors import FencedError
from stream.events import Message
from stream.group.offset_metadata import OffsetMetadata
from stream.kafka.write_fence import WriteFence
from stream.pipeline.pipeline import Pipeline
from stream.storage.recovery import Recovery
from stream.storage.store import StateStore
from stream.worker.memory import collect_cycles
from stream.worker.score_repair import ScoreRepair, commit_metadata


class ScoringHandler:
    """Recovers user state, repairs stale scores, then feeds the pipeline: a `PartitionHandler`."""

    def __init__(
        self,
        pipeline: Pipeline,
        recovery: Recovery,
        repair: ScoreRepair,
        store: StateStore,
        fence: WriteFence,
        scores_topic: str,
    ) -> None:
        self._pipeline = pipeline
        self._recovery = recovery
        self._repair = repair
        self._store = store
        self._fence = fence
        self._scores_topic = scores_topic
        self.failed: Future[None] = pipeline.failed
        self.fenced: Queue[FencedError] = pipeline.fenced

    async def recover(self, committed: Mapping[int, OffsetMetadata | None]) -> None:
        """Bring the state of these partitions up to date, and begin to score their users."""
        self._store.close_others(committed)
        tails, _ = await asyncio.gather(
            self._repair.read(committed), self._recovery.recover(committed)
        )
        collect_cycles()
        await self._repair.repair(tails)
        self._pipeline.assign(committed)

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
        """The safe offsets, each with the end of our own scores as its metadata."""
        scores_ends = self._fence.ends(self._scores_topic)
        return {
            partition: OffsetMetadata(offset, commit_metadata(scores_ends.get(partition)))
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
