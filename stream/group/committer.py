"""The committer: tells Kafka how far we have come, and only what is safe."""

import asyncio

import structlog
from aiokafka.errors import KafkaError

from stream.failpoints import hit
from stream.group.faust_consumer import Lane
from stream.kafka.write_fence import Succession
from stream.metrics import Metrics
from stream.pipeline.pipeline import Pipeline

_log = structlog.get_logger(__name__)


class Committer:
    """Commits the positions of the pipeline, one commit at a time."""

    def __init__(
        self,
        pipeline: Pipeline,
        lane: Lane,
        succession: Succession,
        scores_topic: str,
        metrics: Metrics,
    ) -> None:
        self._pipeline = pipeline
        self._lane = lane
        self._succession = succession
        self._scores_topic = scores_topic
        self._metrics = metrics
        self._committed: dict[int, int] = {}
        self._turn = asyncio.Lock()

    def start_over(self) -> None:
        """Partitions are assigned anew: what was committed of them before counts no more."""
        self._committed = {}

    async def run(self, interval_s: float) -> None:
        """Commit for ever."""
        while True:
            await asyncio.sleep(interval_s)
            await self.commit()

    async def commit(self) -> None:
        """Commit what is new and safe, and tell the pipeline; nothing once that has failed."""
        async with self._turn:
            positions = self._pipeline.positions()
            news = {p: o for p, o in positions.items() if self._committed.get(p) != o}
            if self._pipeline.failed.done():
                return
            if news and not await self._is_kept(news):
                news = {}
            self._committed.update(news)
            self._pipeline.committed(news)

    async def _is_kept(self, positions: dict[int, int]) -> bool:
        try:
            kept = await self._lane.commit(positions, self._succession.ends(self._scores_topic))
        except KafkaError as error:
            _log.warning("offsets not committed", error=str(error))
            kept = False
        self._metrics.commits["ok" if kept else "failed"].inc()
        if kept:
            hit("committed")
        return kept
