"""The cost of an event by the number of users on disk: ``python -m benchmarks.scale``.

The worker without a model on a real Kafka. Its disk is filled beforehand with users of eight
actions each. Then events come: of all users alike, so that with more of them than the worker keeps
in memory nearly every one is read from RocksDB; and as in a shop (Zipf 1.1), where few users make
most events.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt
import orjson
import psutil

from benchmarks import results
from benchmarks.engine import kafka
from benchmarks.engines import start_lately
from benchmarks.events import START_MS, Record, write
from benchmarks.measure import POLL_S, StalledError, Watcher, topics
from stream.demo.child_process import Child
from stream.events import Event
from stream.settings import FoldSettings
from stream.storage.disk_usage import measure
from stream.storage.store import StateStore
from stream.user_state import UserState

PARTITIONS = 4
WARM_UP = 2_000
ITEMS = 50_000
ACTIONS = 8
STATES = 5_000  # different ones, so that no block of a file compresses better than real users do
AT_ONCE = 5_000  # users in one write
NO_MESSAGE: Any = None  # the state does not look at it
SPREAD = 2_654_435_761  # a prime: makes neighbours by activity strangers on disk
Words = npt.NDArray[np.uint32]
Shape = Literal["uniform", "zipf"]


class Scaled(NamedTuple):
    """One run: the users on disk, what an event cost, and what the worker took of the machine."""

    shape: Shape
    users: int
    events: int
    events_per_s: float
    cpu_us: float  # of an event, the whole process
    memory_bytes: int  # the most that was resident while events were read
    disk_bytes: int  # of the state, before the events


def main() -> int:
    """Measure each number of users and print the table; 1 if a worker stalls."""
    options = _parser().parse_args()
    found: list[Scaled] = []
    try:
        with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
            for users in options.users:
                for shape in options.shapes:
                    scratch = Path(folder) / f"{users}-{shape}"
                    run = _measure(bootstrap, scratch, users, options.events, shape)
                    found.append(asyncio.run(run))
                    print(_line(found[-1]), file=sys.stderr, flush=True)
    except StalledError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(found)))
    results.Result.now("scale", [row._asdict() for row in found]).save(options.results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument(
        "--users", type=int, nargs="+", default=[10_000, 100_000, 1_000_000, 10_000_000]
    )
    parser.add_argument("--shapes", nargs="+", choices=get_args(Shape), default=get_args(Shape))
    parser.add_argument("--events", type=int, default=200_000, help="of each run [%(default)s]")
    results.add_option(parser)
    return parser


async def _measure(bootstrap: str, folder: Path, users: int, events: int, shape: Shape) -> Scaled:
    async with topics(bootstrap, PARTITIONS, folder) as (job, watcher):
        await asyncio.to_thread(fill, job.state_dir / job.group, users, PARTITIONS)
        disk_bytes = int(measure(job.state_dir / job.group).state_bytes)
        records = make(WARM_UP + events, users, shape)
        await write(bootstrap, job.source, records[:WARM_UP], PARTITIONS)
        child = Child(*start_lately(job))
        try:
            await watcher.follow(child, WARM_UP, 0)
            process = psutil.Process(child.pid)
            os.kill(child.pid, signal.SIGSTOP)
            await write(bootstrap, job.source, records[WARM_UP:], PARTITIONS)
            before = process.cpu_times()
            os.kill(child.pid, signal.SIGCONT)
            wall_s, memory_bytes = await _run(child, process, watcher, len(records))
            after = process.cpu_times()
        finally:
            child.stop(grace_s=10.0)
    cpu_s = after.user + after.system - before.user - before.system
    return Scaled(
        shape, users, events, events / wall_s, cpu_s / events * 1e6, memory_bytes, disk_bytes
    )


async def _run(
    child: Child, process: psutil.Process, watcher: Watcher, events: int
) -> tuple[float, int]:
    """Wait until all events are committed; the seconds that took, and the most memory."""
    following = asyncio.create_task(watcher.follow(child, events, 0))
    most_bytes = 0
    while not following.done():
        most_bytes = max(most_bytes, process.memory_info().rss)
        await asyncio.wait({following}, timeout=POLL_S)
    samples = following.result()
    return samples[-1].at_s - samples[0].at_s, most_bytes


def fill(folder: Path, users: int, partitions: int) -> None:
    """Write so many users to the disk of a worker, as if its changelog had none of them."""
    folder.mkdir(parents=True)
    store = StateStore(folder, lambda _: None)
    values = _values()
    numbers = np.arange(users, dtype=np.uint32)
    owners = _owners(numbers, partitions)
    for partition in range(partitions):
        store.open(partition)
        own = numbers[owners == partition]
        for start in range(0, len(own), AT_ONCE):
            some = own[start : start + AT_ONCE].tolist()
            changes = [(key_of(number), values[number % STATES]) for number in some]
            store.write(partition, changes, -1)
        store.mark_complete(partition, following=False)
    store.close_all()


def _values() -> list[bytes]:
    rng, rules = random.Random(0), FoldSettings().rules
    found = []
    for _ in range(STATES):
        user = UserState()
        times_ms = sorted(START_MS - rng.randrange(1, 3_600_000) for _ in range(ACTIONS))
        for number, at_ms in enumerate(times_ms):
            item, event_id = f"item-{rng.randrange(ITEMS):05d}", f"e-{rng.randrange(10**9):09d}"
            user.apply(Event(b"", number, at_ms, item, "click", at_ms, event_id, NO_MESSAGE), rules)
        user.applied_offset = -1  # of the events that come, none is a replay
        found.append(user.to_bytes())
    return found


def key_of(number: int) -> bytes:
    """The key of a user: always twelve bytes."""
    return b"user-%07d" % number


def _owners(numbers: Words, partitions: int) -> npt.NDArray[np.int64]:
    """The partition of each user by Kafka's partitioner, murmur2 of keys of three words."""
    m = np.uint32(0x5BD1E995)
    hashed = np.full(len(numbers), 0x9747B28C ^ 12, np.uint32)
    for word in _words(numbers):
        mixed = word * m
        mixed ^= mixed >> np.uint32(24)
        hashed = (hashed * m) ^ (mixed * m)
    hashed ^= hashed >> np.uint32(13)
    hashed *= m
    hashed ^= hashed >> np.uint32(15)
    return (hashed & np.uint32(0x7FFFFFFF)).astype(np.int64) % partitions


def _words(numbers: Words) -> list[Words]:
    """The keys as three little-endian words each."""
    digits = [(numbers // 10**place % 10 + ord("0")).astype(np.uint8) for place in range(6, -1, -1)]
    prefix = [np.full(len(numbers), letter, np.uint8) for letter in b"user-"]
    table = np.stack([*prefix, *digits], axis=1)  # (N, 12)
    return list(np.ascontiguousarray(table).view("<u4").T)


def make(count: int, users: int, shape: Shape) -> list[Record]:
    """Events of random users, ten milliseconds of event time apart."""
    rng, random_items = np.random.default_rng(1), random.Random(1)
    if shape == "zipf":
        sums = np.cumsum(1 / np.arange(1, users + 1) ** 1.1)
        chosen = np.searchsorted(sums, rng.random(count) * sums[-1]) * SPREAD % users
    else:
        chosen = rng.integers(users, size=count)
    keys = map(key_of, chosen.tolist())
    return [_event(number, key, random_items) for number, key in enumerate(keys)]


def _event(number: int, key: bytes, rng: random.Random) -> Record:
    event = {
        "event_id": f"n-{number:09d}",
        "user_id": key.decode(),
        "item_id": f"item-{rng.randrange(ITEMS):05d}",
        "action": "click",
        "ts": START_MS + number * 10,
    }
    return key, orjson.dumps(event)


def table(found: Sequence[Scaled]) -> Iterator[str]:
    """One line for each number of users, then what the most cost beside the fewest."""
    yield (
        f"{'users':>11} {'events':>8} {'events/s':>10} {'CPU µs':>8} {'MB':>8} {'disk MB':>9} "
        f"{'B a user':>9}"
    )
    yield from map(_line, found)
    yield ""
    for shape in dict.fromkeys(row.shape for row in found):
        own = [row for row in found if row.shape == shape]
        ratio = own[-1].cpu_us / own[0].cpu_us
        yield f"CPU of an event, {shape}, most users / fewest  {ratio:5.2f} ×"


def _line(row: Scaled) -> str:
    return (
        f"{row.users:>11,} {row.shape:>8} {row.events_per_s:>10,.0f} {row.cpu_us:>8.1f} "
        f"{row.memory_bytes / 1e6:>8,.0f} {row.disk_bytes / 1e6:>9,.0f} "
        f"{row.disk_bytes / row.users:>9,.0f}"
    )


if __name__ == "__main__":
    sys.exit(main())
