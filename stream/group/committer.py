"""The committer: commits the offsets that the handler says are safe."""

import asyncio
from collections.abc import Mapping

import structlog
from aiokafka.errors import KafkaError
from prometheus_client import Counter

from stream.failpoints import hit
from stream.group.faust_consumer import FaustConsumer
from stream.group.handler import PartitionHandler
from stream.group.offset_metadata import OffsetMetadata

_log = structlog.get_logger(__name__)


class Committer:
    """Commits a handler's offsets, one commit at a time; counts them in ``results``.

    ``results`` has a counter for ``ok`` and one for ``failed``.
    """

    def __init__(
        self, handler: PartitionHandler, consumer: FaustConsumer, results: Mapping[str, Counter]
    ) -> None:
        self._handler = handler
        self._consumer = consumer
        self._results = results
        self._sent: dict[int, int] = {}  # by us since the assignment
        self._committed: dict[int, int] = {}
        self._turn = asyncio.Lock()

    def reset(self, committed: Mapping[int, OffsetMetadata | None]) -> None:
        """Begin an assignment, of which the group has these commits."""
        self._sent = {}
        self._committed = {p: found.offset for p, found in committed.items() if found is not None}

    def committed(self) -> Mapping[int, int]:
        """The group's offset of each assigned partition, as far as we know; none without one."""
        return self._committed

    async def run(self, interval_s: float) -> None:
        """Commit at this interval until cancelled."""
        while True:
            await asyncio.sleep(interval_s)
            await self.commit()

    async def commit(self) -> None:
        """Commit what is new, and tell the handler; do nothing once the handler has failed."""
        async with self._turn:
            offsets = self._handler.offsets()
            changed = {p: o for p, o in offsets.items() if self._sent.get(p) != o.offset}
            if self._handler.failed.done():
                return
            if changed and not await self._try_commit(changed):
                changed = {}
            committed = {partition: o.offset for partition, o in changed.items()}
            self._sent.update(committed)
            self._committed.update(committed)
            self._handler.mark_committed(committed)

    async def _try_commit(self, offsets: Mapping[int, OffsetMetadata]) -> bool:
        try:
            committed = await self._consumer.commit(offsets)
        except KafkaError as error:
            _log.warning("offsets not committed", error=str(error))
            committed = False
        self._results["ok" if committed else "failed"].inc()
        if committed:
            hit("committed")
        return committed
