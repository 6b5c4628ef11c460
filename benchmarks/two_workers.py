"""What a second worker on a second core brings: ``python -m benchmarks.two_workers``.

One real Kafka and a log of events, with the demo's model, in interleaved rounds: read by one
worker, and by two of one group. Each worker has a core of its own; the broker takes what it finds.
"""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

from benchmarks import events, results
from benchmarks.engine import ROOT, kafka
from benchmarks.engines import Job, Start, start_lately
from benchmarks.measure import StalledError, topics
from benchmarks.start import wait_ready
from stream.demo.child_process import Child

ARTIFACT = ROOT / "model" / "demo_artifact"
PARTITIONS = 4
WARM_UP = 2_000
USERS = 30_000
GRACE_S = 10.0


class Run(NamedTuple):
    """One run: how many workers read the log, and how fast."""

    workers: int
    events: int
    events_per_s: float
    cpu_us: float  # of an event, over all workers


def main() -> int:
    """Run the rounds and print the medians; 1 if a worker stalls."""
    options = _parser().parse_args()
    found: list[Run] = []
    try:
        with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
            for number in range(2 * options.rounds):
                scratch = Path(folder) / str(number)
                run = _measure(bootstrap, scratch, 1 + number % 2, options.events)
                found.append(asyncio.run(run))
                print(_line(found[-1]), file=sys.stderr, flush=True)
    except StalledError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(found)))
    results.Result.now("two_workers", [run._asdict() for run in found]).save(options.results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.two_workers", description=__doc__)
    parser.add_argument("--events", type=int, default=200_000, help="of each run [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each kind [%(default)s]")
    results.add_option(parser)
    return parser


async def _measure(bootstrap: str, folder: Path, workers: int, count: int) -> Run:
    cores = sorted(os.sched_getaffinity(0))
    records = events.make(WARM_UP + count, USERS)
    async with topics(bootstrap, PARTITIONS, folder) as (job, watcher):
        await events.write(bootstrap, job.source, records[:WARM_UP], PARTITIONS)
        with ExitStack() as stack:
            children, starts = [], [_start(job, number) for number in range(workers)]
            for number, start in enumerate(starts):
                child = Child(*start)
                stack.callback(child.stop, GRACE_S)
                os.sched_setaffinity(child.pid, {cores[number % len(cores)]})
                children.append(child)
                wait_ready(child, start)
            for child, start in zip(children, starts, strict=True):
                wait_ready(child, start)  # again: each newcomer makes the group share out anew
            await watcher.follow(children[0], WARM_UP, 0)
            processes = [psutil.Process(child.pid) for child in children]
            for child in children:
                os.kill(child.pid, signal.SIGSTOP)
            await events.write(bootstrap, job.source, records[WARM_UP:], PARTITIONS)
            before_s = sum(map(_cpu_s, processes))
            for child in children:
                os.kill(child.pid, signal.SIGCONT)
            samples = await watcher.follow(children[0], len(records), 0)
            cpu_s = sum(map(_cpu_s, processes)) - before_s
    wall_s = samples[-1].at_s - samples[0].at_s
    return Run(workers, count, count / wall_s, cpu_s / count * 1e6)


def _start(job: Job, number: int) -> Start:
    folder = job.state_dir / str(number)
    folder.mkdir()
    return start_lately(job._replace(state_dir=folder), ARTIFACT)


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def table(found: Sequence[Run]) -> Iterator[str]:
    """The medians by number of workers, then what the second brings."""
    yield f"{'workers':>7} {'events/s':>10} {'CPU µs':>8}"
    rates = {}
    for workers in (1, 2):
        own = [run for run in found if run.workers == workers]
        rates[workers] = median(run.events_per_s for run in own)
        yield f"{workers:>7} {rates[workers]:>10,.0f} {median(run.cpu_us for run in own):>8.1f}"
    rounds = [b.events_per_s / a.events_per_s for a, b in zip(found[::2], found[1::2], strict=True)]
    yield ""
    yield (
        f"two / one  {rates[2] / rates[1]:.2f} ×   in rounds {min(rounds):.2f} to {max(rounds):.2f}"
    )


def _line(run: Run) -> str:
    return f"{run.workers} workers {run.events_per_s:>10,.0f}/s {run.cpu_us:>8.1f} µs CPU"


if __name__ == "__main__":
    sys.exit(main())
