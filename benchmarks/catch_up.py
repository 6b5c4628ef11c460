"""How fast a worker catches up after an outage at half load: ``python -m benchmarks.catch_up``.

The demo's model on a real Kafka. Events come at half of what the worker can do on a backlog with
one score an event. It is killed (-9); half a minute later it is started again, while events go on
coming. From the moment at which it is ready it reads what it missed, and a user with several
events waiting is scored once.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import results
from benchmarks.engine import kafka
from benchmarks.engines import Job, Start, start_lately
from benchmarks.half_load import ARTIFACT, PARTITIONS, USERS, capacity
from benchmarks.latency import Load, send
from benchmarks.measure import StalledError, Watcher, topics
from benchmarks.start import wait_ready
from stream.demo.child_process import Child

BEFORE_S = 5.0  # of load before the outage
AFTER_S = 30.0  # the most that it may take to catch up
COMMIT_S = 0.2  # between two commits, by which the progress is seen
LEVEL_S = 1.0  # of live events uncommitted: caught up


class CaughtUp(NamedTuple):
    """One outage: how much was missed, and how long it took from ready to level."""

    per_s: int
    missed: int
    catch_up_s: float
    events: int  # committed meanwhile

    @property
    def times_live(self) -> float:
        """The rate of the catch-up as a multiple of the live rate."""
        return self.events / self.catch_up_s / self.per_s


def main() -> int:
    """Run the outages and print the table; 1 if a worker stalls or does not catch up."""
    options = _parser().parse_args()
    found: list[CaughtUp] = []
    try:
        with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            per_s = options.rate or asyncio.run(capacity(bootstrap, scratch / "capacity")) // 2
            for number in range(options.rounds):
                run = _measure(bootstrap, scratch / str(number), per_s, options.outage)
                found.append(asyncio.run(run))
                print(_line(found[-1]), file=sys.stderr, flush=True)
    except StalledError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(found)))
    rows = [row._asdict() | {"times_live": row.times_live} for row in found]
    results.Result.now("catch_up", rows).save(options.results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.catch_up", description=__doc__)
    parser.add_argument("--rate", type=int, help="events per second [half of what it can do]")
    parser.add_argument("--outage", type=float, default=30.0, help="in seconds [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="outages [%(default)s]")
    results.add_option(parser)
    return parser


async def _measure(bootstrap: str, folder: Path, per_s: int, outage_s: float) -> CaughtUp:
    async with topics(bootstrap, PARTITIONS, folder) as (job, watcher):
        start = _start(job)
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap)
        await consumer.start()
        child = Child(*start)
        loading: asyncio.Task[int] | None = None
        try:
            await asyncio.to_thread(wait_ready, child, start)
            loading = asyncio.create_task(_load(job, per_s, BEFORE_S + outage_s + AFTER_S))
            await asyncio.sleep(BEFORE_S)
            child.stop()  # at once, as kill -9
            await asyncio.sleep(outage_s)
            child = Child(*start)
            await asyncio.to_thread(wait_ready, child, start)
            return await _follow(watcher, consumer, child, job, per_s)
        finally:
            if loading is not None:
                loading.cancel()
            child.stop(grace_s=10.0)
            await consumer.stop()


def _start(job: Job) -> Start:
    command, environment = start_lately(job, ARTIFACT)
    pending = {"LATELY_MAX_PENDING_USERS": "50000"}  # the default: here users may be merged
    return Start(command, environment | pending | {"LATELY_COMMIT_INTERVAL_S": str(COMMIT_S)})


async def _load(job: Job, per_s: int, seconds: float) -> int:
    items = orjson.loads((ARTIFACT / "catalogue.json").read_bytes())["items"]
    return await send(Load("outage", per_s, USERS), job, seconds, items)


async def _follow(
    watcher: Watcher, consumer: AIOKafkaConsumer, child: Child, job: Job, per_s: int
) -> CaughtUp:
    """Sample until what is uncommitted is a second of live events."""
    first = (await watcher.follow(child, 0, 0))[-1]
    missed = await _length(consumer, job) - first.committed
    while time.monotonic() - first.at_s < AFTER_S:
        now = (await watcher.follow(child, 0, 0))[-1]
        if await _length(consumer, job) - now.committed <= per_s * LEVEL_S:
            return CaughtUp(per_s, missed, now.at_s - first.at_s, now.committed - first.committed)
        await asyncio.sleep(COMMIT_S / 4)
    raise StalledError(f"not caught up in {AFTER_S:g} s: {child.last_lines(20)}")


async def _length(consumer: AIOKafkaConsumer, job: Job) -> int:
    partitions = [TopicPartition(job.source, number) for number in range(job.partitions)]
    return sum((await consumer.end_offsets(partitions)).values())


def table(found: Sequence[CaughtUp]) -> Iterator[str]:
    """One line for each outage, then the median."""
    yield f"{'events/s':>9} {'missed':>9} {'seconds':>8} {'× live':>7}"
    yield from map(_line, found)
    yield ""
    yield f"catch-up / live rate  {median(row.times_live for row in found):.1f} ×"


def _line(row: CaughtUp) -> str:
    return f"{row.per_s:>9,} {row.missed:>9,} {row.catch_up_s:>8.2f} {row.times_live:>7.1f}"


if __name__ == "__main__":
    sys.exit(main())
