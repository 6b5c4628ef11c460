"""The latency from event to score, by the records' timestamps: ``python -m benchmarks.latency``.

One Kafka, one worker with the demo's model for each load. The latency of an event is the time to
the first score of its user that covers it, as the difference of the two records' timestamps.
Loads are sent at a fixed rate whatever the worker does, so a lagging worker is visible.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks.engine import ROOT, kafka
from benchmarks.engines import Job, start_lately
from benchmarks.events import partition_of
from benchmarks.measure import StalledError, topics
from stream.demo.child_process import Child

ARTIFACT = ROOT / "model" / "demo_artifact"
HOT = b"hot"
TICK_S = 0.02
WARM_UP_S = 5.0
PATIENCE_S = 120.0


class Load(NamedTuple):
    """A load: events per second, users, and the share of events of one hot user."""

    name: str
    per_s: int
    users: int
    hot_share: float = 0.0
    settings: tuple[tuple[str, str], ...] = ()


class Figures(NamedTuple):
    """The latencies of all users but the hot one."""

    load: str
    per_s: int
    events: int
    scores: int
    degraded: float  # share of the scores
    p50_ms: float
    p99_ms: float
    max_ms: float


def loads(per_s: int, overload_per_s: int) -> list[Load]:
    """The loads: a usual day, one hot user (a bot), and overload without and with shedding."""
    many = 50_000
    return [
        Load("even", per_s, 2_000),
        Load("hot key, 80 %", per_s, 2_000, 0.8),
        Load("overload", overload_per_s, many),
        Load("overload, shedding", overload_per_s, many, 0.0, (("SHED_AFTER_MS", "1000"),)),
    ]


def main() -> int:
    """Run every load, print the table; 1 if a worker stalls."""
    options = _parser().parse_args()
    found: list[Figures] = []
    try:
        with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
            for number, load in enumerate(loads(options.rate, options.overload)):
                scratch = Path(folder) / str(number)
                found.append(asyncio.run(_measure(load, bootstrap, scratch, options.seconds)))
                print(_line(found[-1]), file=sys.stderr, flush=True)
    except StalledError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(found)))
    if options.json:
        rows = [row._asdict() for row in found]
        options.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.latency", description=__doc__)
    parser.add_argument("--rate", type=int, default=1_000, help="events per second [%(default)s]")
    parser.add_argument(
        "--overload", type=int, default=8_000, help="rate of overload [%(default)s]"
    )
    parser.add_argument("--seconds", type=float, default=30.0, help="of each load [%(default)s]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


async def _measure(load: Load, bootstrap: str, folder: Path, seconds: float) -> Figures:
    async with topics(bootstrap, 4, folder) as (job, watcher):
        command, environment = start_lately(job, ARTIFACT)
        settings = {f"LATELY_{name}": value for name, value in load.settings}
        child = Child(command, {**environment, **settings})
        try:
            items = orjson.loads((ARTIFACT / "catalogue.json").read_bytes())["items"]
            await send(load._replace(per_s=200), job, 1.0, items)
            await watcher.follow(child, 200, 0)
            start_ms = int(time.time() * 1000)
            sent = 200 + await send(load, job, WARM_UP_S + seconds, items)
            await watcher.follow(child, sent, 0)
        finally:
            child.stop(grace_s=10.0)
        return await figures(load, job, start_ms + int(WARM_UP_S * 1000))


async def send(load: Load, job: Job, seconds: float, items: Sequence[str]) -> int:
    """Send at the load's rate, whatever the worker does; returns the number of events."""
    rng = random.Random(load.name)
    producer = AIOKafkaProducer(bootstrap_servers=job.bootstrap, max_batch_size=512 * 1024)
    await producer.start()
    try:
        started_s, sent, due = time.monotonic(), 0, int(load.per_s * seconds)
        while sent < due:
            await asyncio.sleep(TICK_S)
            until = min(due, int((time.monotonic() - started_s) * load.per_s))
            batches = [producer.create_batch() for _ in range(job.partitions)]
            for _ in range(sent, until):
                key, value = _event(load, rng, items)
                batch = batches[partition_of(key, job.partitions)]
                batch.append(key=key, value=value, timestamp=int(time.time() * 1000))
            for number, batch in enumerate(batches):
                if batch.record_count():
                    await producer.send_batch(batch, job.source, partition=number)
            sent = until
        await producer.flush()
        return sent
    finally:
        await producer.stop()


def _event(load: Load, rng: random.Random, items: Sequence[str]) -> tuple[bytes, bytes]:
    key = HOT if rng.random() < load.hot_share else b"user-%d" % rng.randrange(load.users)
    event = {"user_id": key.decode(), "item_id": rng.choice(items), "action": "click"}
    return key, orjson.dumps({**event, "ts": int(time.time() * 1000)})


class Record(NamedTuple):
    """An event or a score of the user ``key``; the offset is that of the event."""

    key: bytes
    offset: int
    at_ms: int
    degraded: bool = False


async def figures(load: Load, job: Job, since_ms: int) -> Figures:
    """The latencies of the events since then, in milliseconds since the epoch."""
    events = [Record(r.key, r.offset, r.timestamp) async for r in _read(job, job.source)]
    scores = []
    async for record in _read(job, job.output):
        score = orjson.loads(record.value)
        degraded = score["quality"] == "degraded"
        scores.append(Record(record.key, score["as_of"]["offset"], record.timestamp, degraded))
    others = [e for e in events if e.key != HOT and e.at_ms >= since_ms]
    waits = sorted(waits_ms(others, scores))
    if len(waits) < len(others):
        raise StalledError(f"{load.name}: {len(others) - len(waits)} events have no score")
    degraded = sum(score.degraded for score in scores) / len(scores)
    p50, p99 = (waits[int(share * (len(waits) - 1))] for share in (0.5, 0.99))
    return Figures(load.name, load.per_s, len(others), len(scores), degraded, p50, p99, waits[-1])


def waits_ms(events: Sequence[Record], scores: Sequence[Record]) -> Iterator[int]:
    """The time from each event to the first score of its user that covers it.

    A user's records are all in one partition, so a user's offsets are in order.
    """
    of_user: dict[bytes, list[Record]] = defaultdict(list)
    for score in scores:
        of_user[score.key].append(score)
    for event in events:
        covering = (s.at_ms for s in of_user[event.key] if s.offset >= event.offset)
        first_ms = min(covering, default=None)
        if first_ms is not None:
            yield first_ms - event.at_ms


async def _read(job: Job, topic: str):  # type: ignore[no-untyped-def]  # aiokafka's records
    consumer = AIOKafkaConsumer(
        bootstrap_servers=job.bootstrap, auto_offset_reset="earliest", enable_auto_commit=False
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(topic, number) for number in range(job.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        async with asyncio.timeout(PATIENCE_S):
            while any([await consumer.position(tp) < ends[tp] for tp in partitions]):
                for records in (await consumer.getmany(timeout_ms=500)).values():
                    for record in records:
                        yield record
    finally:
        await consumer.stop()


def table(found: Sequence[Figures]) -> Iterator[str]:
    """One line per load, then the ratios that a hot user and shedding make."""
    heads = (
        ("events/s", 9),
        ("scores", 9),
        ("degraded", 9),
        ("p50 ms", 8),
        ("p99 ms", 8),
        ("max", 8),
    )
    yield " ".join([" " * 20, *(f"{head:>{width}}" for head, width in heads)])
    yield from map(_line, found)
    even, hot, plain, shed = found
    yield ""
    yield f"p99 beside a hot user / even   {hot.p99_ms / even.p99_ms:6.2f} ×"
    yield f"p99 without / with shedding    {plain.p99_ms / shed.p99_ms:6.2f} ×"


def _line(row: Figures) -> str:
    return (
        f"{row.load:<20} {row.per_s:>9,} {row.scores:>9,} {row.degraded:>9.1%} {row.p50_ms:>8,.0f} "
        f"{row.p99_ms:>8,.0f} {row.max_ms:>8,.0f}"
    )


if __name__ == "__main__":
    sys.exit(main())
