"""The time from a worker's start until it is ready, with state: ``python -m benchmarks.start``.

One real Kafka, one worker with the demo's model whose state holds the given users. It is started
again and again, in interleaved rounds: after it was stopped, after it was killed (-9), and after
its disk was lost, so that all users are rebuilt from the changelog.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Literal, NamedTuple, get_args

from benchmarks import events, results
from benchmarks.engine import ROOT, kafka
from benchmarks.engines import Job, Start, start_lately
from benchmarks.measure import START_S, StalledError, topics
from stream.demo.child_process import Child

ARTIFACT = ROOT / "model" / "demo_artifact"
PARTITIONS = 4
POLL_S = 0.005
GRACE_S = 10.0
After = Literal["stopped", "killed", "disk lost"]


class Measured(NamedTuple):
    """One start: what happened before it, and the seconds from the start of the process."""

    after: After
    ready_s: float


def main() -> int:
    """Measure the rounds and print the medians; 1 if a worker does not become ready."""
    options = _parser().parse_args()
    try:
        with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
            found = asyncio.run(_measure(bootstrap, Path(folder), options.users, options.rounds))
    except StalledError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(found)))
    rows = [start._asdict() for start in found]
    results.Result.now("start", rows).save(options.results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--users", type=int, default=100_000, help="users of state [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="starts of each kind [%(default)s]")
    results.add_option(parser)
    return parser


async def _measure(bootstrap: str, folder: Path, users: int, rounds: int) -> list[Measured]:
    async with topics(bootstrap, PARTITIONS, folder) as (job, watcher):
        await events.write(bootstrap, job.source, events.make(users, users), PARTITIONS)
        command, environment = start_lately(job, ARTIFACT)
        child = Child(command, environment)
        try:
            await watcher.follow(child, users, 0)
        finally:
            child.stop(GRACE_S)
        start = Start(command, environment)
        return [_start(start, job, after) for _ in range(rounds) for after in get_args(After)]


def _start(start: Start, job: Job, after: After) -> Measured:
    """Bring about what is to be before it, and start the worker once; it ends stopped."""
    if after == "killed":
        child = Child(*start)
        wait_ready(child, start)
        child.stop()
    elif after == "disk lost":
        shutil.rmtree(job.state_dir / job.group)
    started_s = time.monotonic()
    child = Child(*start)
    try:
        wait_ready(child, start)
        return Measured(after, time.monotonic() - started_s)
    finally:
        child.stop(GRACE_S)


def wait_ready(child: Child, start: Start) -> None:
    """Wait until the worker of this start says that it is ready; raises StalledError."""
    url = f"http://{start.command[start.command.index('--http') + 1]}/readyz"
    deadline_s = time.monotonic() + START_S
    while time.monotonic() < deadline_s:
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except urllib.error.HTTPError:
            pass  # it says that it is not ready yet
        except OSError:
            if child.exit_code is not None:
                break
        time.sleep(POLL_S)
    raise StalledError(f"the worker did not become ready: {child.last_lines(20)}")


def table(found: Sequence[Measured]) -> Iterator[str]:
    """One line for each kind of start."""
    yield f"{'ready after, s':<16} {'median':>8} {'least':>8} {'most':>8}"
    for after in get_args(After):
        times_s = [start.ready_s for start in found if start.after == after]
        yield f"{after:<16} {median(times_s):>8.2f} {min(times_s):>8.2f} {max(times_s):>8.2f}"


if __name__ == "__main__":
    sys.exit(main())
