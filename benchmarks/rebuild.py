"""How long users take to come back from the changelog: ``python -m benchmarks.rebuild``.

The worker without a model beside stock Faust, each on the same events: one of each user. An engine
is started again on its disk and on an empty one, in interleaved rounds; an event is sent with each
start. The rebuild is what its output takes longer when the disk is empty.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from benchmarks import events, results
from benchmarks.engine import kafka
from benchmarks.engines import LATELY, STOCK, Engine, Job
from benchmarks.measure import StalledError, Watcher, topics
from stream.demo.child_process import Child

PARTITIONS = 4
GRACE_S = 15.0


class Start(NamedTuple):
    """One start: the seconds from it to the output of an event that was sent with it."""

    engine: str
    users: int
    disk: str  # kept or lost
    output_s: float


def main() -> int:
    """Measure both engines and print the rebuilds; 1 if an engine stalls."""
    options = _parser().parse_args()
    found: list[Start] = []
    try:
        with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
            for engine in (LATELY, STOCK):
                measuring = _measure(engine, bootstrap, Path(folder), options.users, options.rounds)
                found += asyncio.run(measuring)
    except StalledError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(found)))
    results.Result.now("rebuild", [start._asdict() for start in found]).save(options.results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rebuild", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000, help="users of state [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind [%(default)s]")
    results.add_option(parser)
    return parser


async def _measure(
    engine: Engine, bootstrap: str, folder: Path, users: int, rounds: int
) -> list[Start]:
    async with topics(bootstrap, PARTITIONS, folder) as (job, watcher):
        records = events.make(users + 2 * rounds, users)
        await events.write(bootstrap, job.source, records[:users], PARTITIONS)
        child = Child(*engine.start(job))
        try:
            await watcher.follow(child, users, users)
        finally:
            child.stop(GRACE_S)
        found = []
        for number in range(2 * rounds):
            lost = bool(number % 2)
            if lost:
                _lose_disk(job)
            probe = records[users + number]
            took_s = await _start(engine, bootstrap, job, watcher, probe)
            print(f"{engine.name}, disk {'lost' if lost else 'kept'}: {took_s:.2f} s", flush=True)
            found.append(Start(engine.name, users, "lost" if lost else "kept", took_s))
        return found


def _lose_disk(job: Job) -> None:
    """Delete the state; Lately keeps its place in the group, which Faust does not remember."""
    for path in job.state_dir.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


async def _start(
    engine: Engine, bootstrap: str, job: Job, watcher: Watcher, probe: events.Record
) -> float:
    await events.write(bootstrap, job.source, [probe], PARTITIONS)
    started_s = time.monotonic()
    child = Child(*engine.start(job))
    try:
        before = (await watcher.follow(child, 0, 0))[-1].outputs
        samples = await watcher.follow(child, 0, before + 1)
        return samples[-1].at_s - started_s
    finally:
        child.stop(GRACE_S)


def rebuild_s(found: Sequence[Start], engine: str) -> float:
    """The median with a lost disk, less the median with the disk that was kept."""
    by_disk = {
        disk: median(s.output_s for s in found if (s.engine, s.disk) == (engine, disk))
        for disk in ("kept", "lost")
    }
    return by_disk["lost"] - by_disk["kept"]


def table(found: Sequence[Start]) -> Iterator[str]:
    """The medians and the rebuild of each engine, then ours beside Faust's."""
    yield f"{'seconds to an output':<22} {'disk kept':>10} {'disk lost':>10} {'rebuild':>8}"
    for engine in (LATELY.name, STOCK.name):
        kept, lost = (
            median(s.output_s for s in found if (s.engine, s.disk) == (engine, disk))
            for disk in ("kept", "lost")
        )
        yield f"{engine:<22} {kept:>10.2f} {lost:>10.2f} {lost - kept:>8.2f}"
    ratio = rebuild_s(found, STOCK.name) / max(rebuild_s(found, LATELY.name), 1e-3)
    yield ""
    yield f"{STOCK.name}'s rebuild / {LATELY.name}'s {ratio:6.1f} ×"


if __name__ == "__main__":
    sys.exit(main())
