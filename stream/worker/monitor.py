"""The monitor: observes the running worker, and updates gauges and readiness."""

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from stream.group.faust_consumer import FaustConsumer
from stream.health import Health
from stream.kafka.write_fence import WriteFence, foreign_write
from stream.metrics import Metrics
from stream.pipeline.pipeline import Pipeline
from stream.storage.disk_usage import measure
from stream.storage.store import StateStore
from stream.worker.lag import UNKNOWN, lag_of
from stream.worker.memory import trim
from stream.worker.models.model_reload import name_model
from stream.worker.status_log import StatusLog, Strain

HEARTBEAT_S = 0.5
GAUGES_EVERY_S = 1.0
BROKER_TIMEOUT_S = 5.0
TRIM_EVERY_S = 60.0
STATE_EVERY_S = 15.0
FENCE_EVERY_S = 5.0
_log = structlog.get_logger(__name__)


class Monitor:
    """Several watchdogs; each is a coroutine that runs until it is cancelled."""

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics
        self._broker_answered_s = time.monotonic()
        self._free_bytes = math.inf  # of the disk of the state
        self._ends: dict[int, int] = {}  # asked for while nothing is fetched, which tells them

    async def beat(self) -> None:
        """Record that the event loop turns."""
        while True:
            self._health.beat(time.monotonic())
            await asyncio.sleep(HEARTBEAT_S)

    async def update_gauges(
        self,
        pipeline: Pipeline,
        consumer: FaustConsumer,
        committed: Callable[[], Mapping[int, int]],
    ) -> None:
        """Set the gauges: lag, waiting users, age of the oldest event without a score.

        ``committed`` returns the group's offsets as of its last commit. Also logs odd times.
        """
        while True:
            assigned_at = consumer.assigned_offsets()
            pipeline.mark_committed(assigned_at)
            lag = UNKNOWN
            if self._health.is_ok("broker"):  # else the ends are those before it went away
                ends = consumer.ends().items()
                lag = lag_of(
                    {number: max(end, self._ends.get(number, 0)) for number, end in ends},
                    assigned_at | pipeline.positions(),
                    committed(),
                    pipeline.oldest_unsafe_ms(),
                    time.time() * 1000,
                )
            self._metrics.lag.set(lag.records)
            self._metrics.committed_lag.set(lag.committed)
            self._metrics.lag_seconds.set(lag.seconds)
            self._metrics.pending_users.set(pipeline.waiting_users)
            self._metrics.cached_users.set(pipeline.cached_users)
            self._metrics.paused_partitions.set(pipeline.paused_partitions)
            oldest_ms = pipeline.oldest_unscored_ms()
            age_s = 0.0 if oldest_ms is None else time.time() - oldest_ms / 1000
            self._metrics.oldest_unscored_age.set(max(0.0, age_s))
            pipeline.report_odd_times()
            await asyncio.sleep(GAUGES_EVERY_S)

    async def follow_ends(self, pipeline: Pipeline, consumer: FaustConsumer, topic: str) -> None:
        """Ask where the partitions of ``topic`` end while they are paused.

        Otherwise each fetch tells it, and leaves out the markers of transactions.
        """
        while True:
            paused = pipeline.partitions if pipeline.paused_partitions else frozenset()
            try:
                found = await consumer.fetch_ends([(topic, n) for n in paused]) if paused else {}
                self._ends = {number: end for (_, number), end in found.items()}
            except KafkaError as error:  # `watch_broker` says when it is away
                _log.debug("the ends of paused partitions are unknown", error=str(error))
            await asyncio.sleep(GAUGES_EVERY_S)

    def measure_disk(self, state_dir: Path) -> None:
        """Measure the state directory and its disk."""
        usage = measure(state_dir)
        self._metrics.state_bytes.set(usage.state_bytes)
        self._metrics.state_free_bytes.set(usage.free_bytes)
        self._free_bytes = usage.free_bytes

    async def measure_state(self, store: StateStore, state_dir: Path) -> None:
        """Measure the state on disk from time to time."""
        while True:
            await asyncio.to_thread(self.measure_disk, state_dir)
            self._metrics.stored_users.set(await asyncio.to_thread(store.estimate_users))
            await asyncio.sleep(STATE_EVERY_S)

    async def log_status(self, status: StatusLog, pipeline: Pipeline) -> None:
        """Log how the worker is whenever that changes."""
        while True:
            model = name_model(pipeline.model)
            users = pipeline.unscored_users
            level = pipeline.level if users else "full"  # if nobody waits, nobody is degraded
            strain = Strain(pipeline.paused_partitions, level, self._free_bytes)
            status.report(pipeline.partitions, model, self._broker_answered_s, users, strain)
            await asyncio.sleep(GAUGES_EVERY_S)

    async def watch_idle_ends(
        self,
        pipeline: Pipeline,
        consumer: FaustConsumer,
        fence: WriteFence,
        is_held: Callable[[], bool],
        every_s: float = FENCE_EVERY_S,
    ) -> None:
        """Detect foreign records where we write nothing ourselves: the fence alone cannot see them.

        Without the lease, or if partitions changed hands meanwhile, the writer may be the next
        owner, which is no foreign write.
        """
        while True:
            await asyncio.sleep(every_s)
            if overdue := fence.overdue():
                pipeline.release(overdue)
            if not (expected := fence.idle_ends()):
                continue  # there may be no consumer yet to ask with
            try:
                found = await consumer.fetch_ends(expected)
            except KafkaError:
                continue
            now = fence.idle_ends() if is_held() else {}
            for partition, end in expected.items():
                end_now = found.get(partition, end)
                if now.get(partition) == end < end_now and not fence.note_foreign(
                    partition, end_now
                ):
                    pipeline.release(foreign_write(partition, end_now))
                    break

    async def trim_heap(self) -> None:
        """Return free heap memory to the system from time to time."""
        while True:
            await asyncio.sleep(TRIM_EVERY_S)
            await asyncio.to_thread(trim)

    async def watch_broker(self, producer: AIOKafkaProducer) -> None:
        """Poll the broker with a small request, so that readiness fails when it is gone."""
        while True:
            try:
                async with asyncio.timeout(BROKER_TIMEOUT_S):
                    answered = await producer.client.force_metadata_update()
            except TimeoutError:
                answered = False
            if answered:
                self._broker_answered_s = time.monotonic()
                self._health.set_ok("broker")
            else:
                self._health.set_failed("broker", "the broker does not answer")
            await asyncio.sleep(GAUGES_EVERY_S)
