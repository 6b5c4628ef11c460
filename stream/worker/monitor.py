"""The lookout: sees how the worker does, and tells it to the gauges and to readiness."""

import asyncio
import time
from collections.abc import Callable

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.group.faust_consumer import Lane
from stream.health import Health
from stream.kafka.write_fence import Succession, fenced
from stream.metrics import Metrics
from stream.pipeline.pipeline import Pipeline
from stream.worker.memory import trim

HEARTBEAT_S = 0.5
LOOK_EVERY_S = 1.0
BROKER_SILENCE_S = 5.0
TRIM_EVERY_S = 60.0
OTHERS_EVERY_S = 5.0


class Lookout:
    """Some watches, each a task that runs until it is cancelled."""

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics

    async def beat(self) -> None:
        """Say that the event loop turns."""
        while True:
            self._health.beat(time.monotonic())
            await asyncio.sleep(HEARTBEAT_S)

    async def look(self, pipeline: Pipeline, lane: Lane) -> None:
        """Set the gauges: lag, users who wait, age of the oldest event without a score."""
        while True:
            committed = lane.committed()
            pipeline.committed(committed)
            safe = committed | pipeline.positions()
            ends = lane.ends()
            self._metrics.set_lag({p: max(0, end - safe.get(p, 0)) for p, end in ends.items()})
            self._metrics.pending_users.set(pipeline.waiting_users)
            oldest_ms = pipeline.oldest_unscored_ms()
            age_s = 0.0 if oldest_ms is None else time.time() - oldest_ms / 1000
            self._metrics.oldest_unscored_age.set(max(0.0, age_s))
            await asyncio.sleep(LOOK_EVERY_S)

    async def watch_for_others(
        self,
        pipeline: Pipeline,
        lane: Lane,
        succession: Succession,
        held: Callable[[], bool],
        every_s: float = OTHERS_EVERY_S,
    ) -> None:
        """See late records of others where we write nothing ourselves: there nobody else would.

        Where the lease is not ``held``, or partitions have changed hands meanwhile, who writes may
        be the next owner.
        """
        while True:
            await asyncio.sleep(every_s)
            if not (expected := succession.at_rest()):
                continue  # there may be no consumer yet to ask with
            try:
                found = await lane.ends_of(expected)
            except KafkaError:
                continue
            now = succession.at_rest() if held() else {}
            for place, end in expected.items():
                if now.get(place) == end < found.get(place, end):
                    pipeline.let_go(fenced(place, found[place]))
                    break

    async def keep_memory_low(self) -> None:
        """Give back, now and then, what is free in our heap."""
        while True:
            await asyncio.sleep(TRIM_EVERY_S)
            await asyncio.to_thread(trim)

    async def watch_broker(self, producer: AIOKafkaProducer) -> None:
        """Ask the broker something small, again and again: readiness must tell when it is gone."""
        while True:
            try:
                async with asyncio.timeout(BROKER_SILENCE_S):
                    answered = await producer.client.force_metadata_update()
            except TimeoutError:
                answered = False
            if answered:
                self._health.set_ok("broker")
            else:
                self._health.set_failed("broker", "the broker does not answer")
            await asyncio.sleep(LOOK_EVERY_S)
