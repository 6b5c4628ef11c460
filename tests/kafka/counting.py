"""A second partition handler: counts records, and keeps the counts in the metadata of its commits.

Run ``python -m tests.kafka.counting BOOTSTRAP TOPIC GROUP STATE_DIR PARTITIONS``. It shows that the
group runs a handler that knows nothing of scoring.
"""

import asyncio
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from stream.errors import FencedError
from stream.events import Message
from stream.group.faust_app import build_app, instance_id_of
from stream.group.member import GroupMember
from stream.group.offset_metadata import OffsetMetadata
from stream.health import Health
from stream.kafka.lease import Lease
from stream.metrics import Metrics
from stream.settings import WorkerSettings

SESSION_S = 6.0
DRAIN_S = 5.0


class CountingHandler:
    """Counts the records of each partition: a `PartitionHandler`."""

    def __init__(self) -> None:
        self.failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.fenced: asyncio.Queue[FencedError] = asyncio.Queue(maxsize=1)
        self._progress: dict[int, tuple[int, int]] = {}  # partition → next offset, count

    async def recover(self, committed: Mapping[int, OffsetMetadata | None]) -> None:
        """Go on counting where the last owner committed."""
        self._progress = {
            partition: (0, 0) if commit is None else (commit.offset, int(commit.metadata))
            for partition, commit in committed.items()
        }

    async def ingest(self, partition: int, messages: Sequence[Message]) -> None:
        """Count these records."""
        if partition in self._progress:
            count = self._progress[partition][1] + len(messages)
            self._progress[partition] = (messages[-1].offset + 1, count)

    async def drain(self, timeout_s: float) -> bool:
        """Nothing waits: a record is counted as it comes."""
        return True

    async def revoke(self, timeout_s: float) -> bool:
        """Stop counting."""
        self._progress = {}
        return True

    def offsets(self) -> dict[int, OffsetMetadata]:
        """Each partition's next offset, with the count so far."""
        return {
            partition: OffsetMetadata(offset, str(count))
            for partition, (offset, count) in self._progress.items()
        }

    def mark_committed(self, offsets: Mapping[int, int]) -> None:
        """Nothing depends on it."""

    def release(self, error: FencedError) -> None:
        """Stop counting until the next assignment."""
        self._progress = {}
        self.fenced.put_nowait(error)

    def fail(self, error: BaseException) -> None:
        """End with this error."""
        self.failed.set_exception(error)


async def count(bootstrap: str, topic: str, group: str, state_dir: Path, partitions: int) -> None:
    """Count until SIGTERM, then commit and leave."""
    settings = WorkerSettings.load(
        bootstrap=bootstrap,
        group=group,
        events_topic=topic,
        artifact=".",
        state_dir=str(state_dir),
        session_timeout_s=SESSION_S,
    )
    handler = CountingHandler()
    metrics = Metrics(CollectorRegistry())
    member = GroupMember(
        build_app(settings, partitions, instance_id_of(state_dir)),
        topic,
        handler,
        lease=Lease(SESSION_S),
        health=Health(time.monotonic()),
        commits=metrics.commits,
        rebalances=metrics.rebalances,
    )
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await member.start()
    services = [asyncio.create_task(service) for service in member.services(0.2)]
    stopping = asyncio.create_task(stop.wait())
    ends: list[asyncio.Future[Any]] = [stopping, handler.failed]
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    member.stop_flow()
    await member.drain(DRAIN_S)
    for task in (*services, stopping):
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*services)
    await member.leave(DRAIN_S)


if __name__ == "__main__":
    _, bootstrap, topic, group, state_dir, partitions = sys.argv
    Path(state_dir).mkdir(parents=True, exist_ok=True)
    asyncio.run(count(bootstrap, topic, group, Path(state_dir), int(partitions)))
