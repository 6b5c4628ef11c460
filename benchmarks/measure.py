"""Measures one run of one engine from outside, in the same way for every engine."""

import asyncio
import os
import signal
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple, Self

import psutil
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError

from benchmarks.checking import Ends, check_changelog, check_outputs, check_states
from benchmarks.engines import PENDING_USERS, Engine, Job, pending_users
from benchmarks.events import write
from benchmarks.workloads import Log
from stream.demo.child_process import Child
from stream.kafka.topics import create_topics
from stream.settings import KafkaSettings

POLL_S = 0.05
START_S = 120.0
STALL_S = 60.0
SNAPSHOT_S = 1.5  # longer than the second between two of them


class Run(NamedTuple):
    """The result of a run: counts, rates in events per second, CPU in microseconds per event.

    ``rss_bytes`` is the memory of the process when all was done.
    """

    engine: str
    events: int
    outputs: int
    wall_s: float
    rate: float
    steady_rate: float
    cpu_us: float
    rss_bytes: int = 0

    @classmethod
    def of(
        cls,
        engine: str,
        events: int,
        samples: list["Sample"],
        ready: int,
        cpu_s: float,
        rss_bytes: int = 0,
    ) -> Self:
        """Compute it from the samples; the first was taken when the engine was resumed."""
        wall_s = samples[-1].at_s - samples[0].at_s
        counts = [sample._replace(outputs=sample.outputs - ready) for sample in samples]
        total = counts[-1].outputs
        first = next(sample for sample in counts if sample.outputs)
        last = next(sample for sample in counts if sample.outputs == total)
        seconds = max(last.at_s - first.at_s, POLL_S)
        # In events, even if one output covers several of them.
        steady = (total - first.outputs) / seconds * events / total
        cpu_us = cpu_s / events * 1e6
        return cls(engine, events, total, wall_s, events / wall_s, steady, cpu_us, rss_bytes)


class Sample(NamedTuple):
    """The progress of an engine at one time of the monotonic clock."""

    at_s: float
    outputs: int
    committed: int


class StalledError(Exception):
    """An engine did not start or made no progress; the message has its last output."""


async def measure(
    engine: Engine, bootstrap: str, log: Log, partitions: int, folder: Path, *, turns: bool
) -> Run:
    """Measure one run of the engine, and check what it did.

    1. Start it on the events before and wait until it has committed them: it has joined, has the
       users' histories, and is warm.
    2. Freeze it, write the measured events, and resume it: the clock starts.
    3. Wait until all offsets are committed and, unless it merges, all outputs are there.
    4. Stop it, and check its outputs and states: a wrong run has no time.

    ``turns``: users take turns, so that there is one output an event if enough of them do.

    Raises StalledError and WrongError.
    """
    pending = pending_users(log.users, partitions)
    async with topics(bootstrap, partitions, folder, pending or PENDING_USERS) as (job, watcher):
        await write(bootstrap, job.source, log.before, partitions)
        child = Child(*engine.start(job))
        try:
            process = psutil.Process(child.pid)
            ready = (await watcher.follow(child, *_goal(engine, len(log.before))))[-1]
            os.kill(child.pid, signal.SIGSTOP)
            since = await watcher.ends(engine)
            await write(bootstrap, job.source, log.measured, partitions, len(log.before))
            cpu_before = process.cpu_times()
            os.kill(child.pid, signal.SIGCONT)
            events = len(log.before) + len(log.measured)
            samples = await watcher.follow(child, *_goal(engine, events))
            if not engine.commits:
                await asyncio.sleep(SNAPSHOT_S)  # its last snapshot costs CPU, too
            cpu, rss_bytes = process.cpu_times(), process.memory_info().rss
            cpu_s = cpu.user + cpu.system - cpu_before.user - cpu_before.system
        finally:
            child.stop(grace_s=10.0)
        merges = engine.merges and not (turns and pending)
        await check(engine, job, since, log, merges=merges)
    return Run.of(engine.name, len(log.measured), samples, ready.outputs, cpu_s, rss_bytes)


def _goal(engine: Engine, events: int) -> tuple[int, int]:
    """How many events must be committed, and how many outputs must be there."""
    return events if engine.commits else 0, 0 if engine.merges else events


async def check(engine: Engine, job: Job, since: Ends, log: Log, *, merges: bool) -> None:
    """Check outputs and states of a run that has ended; raises WrongError."""
    await check_outputs(job.bootstrap, since.outputs, log.measured, merges=merges)
    if engine.changelog:
        await check_changelog(job.bootstrap, since.changelog, engine.changelog, log.states())
    if engine.recovery:
        check_states(engine.recovery(job.state_dir), log.states())


class Watcher:
    """Watches an engine through the broker: its outputs and its committed offsets."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._consumer = AIOKafkaConsumer(bootstrap_servers=job.bootstrap)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=job.bootstrap)

    async def open(self) -> None:
        """Connect to the broker."""
        await self._consumer.start()
        await self._admin.start()

    async def keep(self, name: str, partitions: int) -> None:
        """Create a topic without retention, as the log's timestamps are old for the broker."""
        configs = {"retention.ms": "-1"}
        await self._admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs)])

    async def close(self) -> None:
        """Delete the job's topics and disconnect."""
        names = await self._admin.list_topics()
        await self._admin.delete_topics([name for name in names if self._job.group in name])
        await self._admin.close()
        await self._consumer.stop()

    async def ends(self, engine: Engine) -> Ends:
        """The ends of the engine's topics now."""
        outputs = await self._consumer.end_offsets(self._partitions(self._job.output))
        if not engine.changelog:
            return Ends(outputs, {})
        name = engine.changelog.topic(self._job.group, self._job.source)
        return Ends(outputs, await self._consumer.end_offsets(self._partitions(name)))

    def _partitions(self, topic: str) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for number in range(self._job.partitions)]

    async def follow(self, child: Child, committed: int, outputs: int) -> list[Sample]:
        """Sample until this many events are committed and put out; raises StalledError."""
        samples = [await self._look()]
        moved_s = samples[0].at_s
        patience_s = STALL_S if samples[0].outputs else START_S
        while samples[-1].committed < committed or samples[-1].outputs < outputs:
            await asyncio.sleep(POLL_S)
            samples.append(await self._look())
            if samples[-1][1:] != samples[-2][1:]:
                moved_s, patience_s = samples[-1].at_s, STALL_S
            if (code := child.exit_code) is not None:
                raise StalledError(f"ended with {code} at {samples[-1]}: {child.last_lines(20)}")
            if samples[-1].at_s - moved_s > patience_s:
                raise StalledError(f"stuck at {samples[-1]}: {child.last_lines(20)}")
        return samples

    async def _look(self) -> Sample:
        at_s = time.monotonic()
        ends = await self._consumer.end_offsets(self._partitions(self._job.output))
        try:
            offsets = await self._admin.list_consumer_group_offsets(self._job.group)
        except GroupCoordinatorNotAvailableError:
            offsets = {}  # the first group on a fresh broker: its topic is being created
        ours = [o.offset for tp, o in offsets.items() if tp.topic == self._job.source]
        return Sample(at_s, sum(ends.values()), sum(offset for offset in ours if offset > 0))


@asynccontextmanager
async def topics(
    bootstrap: str, partitions: int, folder: Path, pending: int = PENDING_USERS
) -> AsyncIterator[tuple[Job, Watcher]]:
    """Topics with unique names for one run, deleted after it, and their watcher."""
    group = f"bench-{uuid.uuid4().hex[:8]}"
    source, output = f"{group}.events", f"{group}.scores"
    job = Job(bootstrap, source, output, group, partitions, folder / group, pending)
    job.state_dir.mkdir(parents=True)
    settings = KafkaSettings.load(
        bootstrap=bootstrap,
        events_topic=source,
        scores_topic=output,
        dead_topic=f"{source}.dead",
        receipts_topic=f"{source}.receipts",
        group=group,
    )
    watcher = Watcher(job)
    await watcher.open()
    try:
        await watcher.keep(source, partitions)
        await create_topics(settings, partitions)
        yield job, watcher
    finally:
        await watcher.close()
