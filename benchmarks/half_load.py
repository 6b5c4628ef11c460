"""The latency from event to score at half load: ``python -m benchmarks.half_load``.

1. What the worker can do: the demo's model on a backlog, one score an event.
2. Half of that is sent for each deadline, and the time from each event to the first score that
   covers it is taken from the records' timestamps, as `benchmarks.latency` does.
3. The same arrivals and deadlines with a virtual clock: the real batcher, and a scorer that takes
   as long as this machine's, measured for each size of a batch. Kafka and the disk take no time.

Within its bound, the 99th percentile is at most the deadline, one service time and 20 ms.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson

from benchmarks import events, results
from benchmarks.deadlines import Click, Service, simulate
from benchmarks.engine import ROOT, kafka
from benchmarks.engines import Start, start_lately
from benchmarks.latency import TICK_S, WARM_UP_S, Load, figures, send
from benchmarks.measure import StalledError, topics
from model.serving import choose_cap, load_scorer, measure_service_curve
from stream.demo.child_process import Child
from stream.pipeline.batcher import BatchPolicy
from stream.worker.models.model_loading import MAX_BATCH_USERS

ARTIFACT = ROOT / "model" / "demo_artifact"
PARTITIONS = 4
USERS = 50_000
BACKLOG = 150_000
WARM_UP = 2_000
MARGIN_MS = 20.0


class Measured(NamedTuple):
    """One deadline: what was measured, what the virtual clock says, and the bound of the p99."""

    deadline_ms: int
    per_s: int
    service_ms: float  # mean time on the device of one batch
    p50_ms: float
    p99_ms: float
    max_ms: float
    simulated_mean_ms: float
    simulated_p99_ms: float

    @property
    def bound_ms(self) -> float:
        """The most that the 99th percentile may be."""
        return self.deadline_ms + self.service_ms + MARGIN_MS


def main() -> int:
    """Measure every deadline and print the table; 1 if a worker stalls."""
    options = _parser().parse_args()
    found: list[Measured] = []
    try:
        with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
            scratch = Path(folder)
            per_s = options.rate or asyncio.run(capacity(bootstrap, scratch / "capacity")) // 2
            policy, service = _scorer()
            for deadline_ms in options.deadlines:
                measuring = _measure(
                    bootstrap,
                    scratch / str(deadline_ms),
                    _load(per_s, deadline_ms),
                    options.seconds,
                    (policy(deadline_ms), service),
                )
                found.append(asyncio.run(measuring))
                print(_line(found[-1]), file=sys.stderr, flush=True)
    except StalledError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(found)))
    results.Result.now("half_load", [row._asdict() for row in found]).save(options.results)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.half_load", description=__doc__)
    parser.add_argument("--deadlines", type=int, nargs="+", default=[25, 100, 200], metavar="MS")
    parser.add_argument("--rate", type=int, help="events per second [half of what it can do]")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each [%(default)s]")
    results.add_option(parser)
    return parser


async def capacity(bootstrap: str, folder: Path) -> int:
    """The events per second of a backlog, from the first to the last commit."""
    records = events.make(WARM_UP + BACKLOG, USERS)
    async with topics(bootstrap, PARTITIONS, folder) as (job, watcher):
        await events.write(bootstrap, job.source, records[:WARM_UP], PARTITIONS)
        child = Child(*start_lately(job, ARTIFACT))
        try:
            await watcher.follow(child, WARM_UP, 0)
            os.kill(child.pid, signal.SIGSTOP)
            await events.write(bootstrap, job.source, records[WARM_UP:], PARTITIONS)
            os.kill(child.pid, signal.SIGCONT)
            samples = await watcher.follow(child, len(records), 0)
        finally:
            child.stop(grace_s=10.0)
    return int(BACKLOG / (samples[-1].at_s - samples[0].at_s))


def _scorer() -> "tuple[_Policy, Service]":
    """The batch policy of a worker on this machine, and how long its scorer takes."""
    curve = measure_service_curve(load_scorer(ARTIFACT))
    users, seconds = np.array(curve, dtype=np.float64).T
    each_s, batch_s = np.polyfit(users, seconds, 1)
    return _Policy(choose_cap(curve)), Service(max(0.0, float(batch_s)), float(each_s))


class _Policy(NamedTuple):
    close_users: int

    def __call__(self, deadline_ms: int) -> BatchPolicy:
        return BatchPolicy(self.close_users, MAX_BATCH_USERS, deadline_ms / 1000)


def _load(per_s: int, deadline_ms: int) -> Load:
    settings = (("BATCH_DEADLINE_MS", str(deadline_ms)),)
    return Load(f"deadline {deadline_ms} ms", per_s, USERS, 0.0, settings)


async def _measure(
    bootstrap: str,
    folder: Path,
    load: Load,
    seconds: float,
    virtual: tuple[BatchPolicy, Service],
) -> Measured:
    async with topics(bootstrap, PARTITIONS, folder) as (job, watcher):
        command, environment = start_lately(job, ARTIFACT)
        settings = {f"LATELY_{name}": value for name, value in load.settings}
        start = Start(command, {**environment, **settings})
        child = Child(*start)
        try:
            items = orjson.loads((ARTIFACT / "catalogue.json").read_bytes())["items"]
            await send(load._replace(per_s=200), job, 1.0, items)
            await watcher.follow(child, 200, 0)
            start_ms = int(time.time() * 1000)
            sent = 200 + await send(load, job, WARM_UP_S + seconds, items)
            await watcher.follow(child, sent, 0)
            service_s = await asyncio.to_thread(_service_s, start)
        finally:
            child.stop(grace_s=10.0)
        real = await figures(load, job, start_ms + int(WARM_UP_S * 1000))
    policy, service = virtual
    outcome = simulate(list(arrivals(load, seconds)), policy, service)
    return Measured(
        int(policy.deadline_s * 1000),
        load.per_s,
        service_s * 1000,
        real.p50_ms,
        real.p99_ms,
        real.max_ms,
        outcome.mean_s * 1000,
        outcome.p99_s * 1000,
    )


def _service_s(start: Start) -> float:
    """The mean time of a batch on the device, by the worker's own metric."""
    address = start.command[start.command.index("--http") + 1]
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=5) as answer:
        lines = answer.read().decode().splitlines()
    values = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    name = "lately_inference_seconds"
    return float(values[f"{name}_sum"]) / max(1.0, float(values[f"{name}_count"]))


def arrivals(load: Load, seconds: float) -> Iterator[Click]:
    """The clicks of a load as `benchmarks.latency` sends them: what is due, at every tick."""
    rng, sent = random.Random(load.name), 0
    for tick in range(1, int(seconds / TICK_S) + 1):
        due = int(tick * TICK_S * load.per_s)
        for _ in range(sent, due):
            yield tick * TICK_S, rng.randrange(load.users)
        sent = due


def table(found: Sequence[Measured]) -> Iterator[str]:
    """One line for each deadline."""
    yield (
        f"{'deadline':>9} {'events/s':>9} {'service':>8} {'p50 ms':>7} {'p99 ms':>7} {'max':>7} "
        f"{'bound':>6} {'virtual mean':>13} {'p99':>6}"
    )
    yield from map(_line, found)


def _line(row: Measured) -> str:
    return (
        f"{row.deadline_ms:>6} ms {row.per_s:>9,} {row.service_ms:>8.1f} {row.p50_ms:>7.0f} "
        f"{row.p99_ms:>7.0f} {row.max_ms:>7.0f} {row.bound_ms:>6.0f} "
        f"{row.simulated_mean_ms:>13.0f} {row.simulated_p99_ms:>6.0f}"
    )


if __name__ == "__main__":
    sys.exit(main())
