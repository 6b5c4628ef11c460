"""The engine without a model against other engines: ``python -m benchmarks.engine``.

One Kafka, one run, interleaved rounds; every engine runs in its own process.
benchmarks/README.md describes what is measured and how to read it.
"""

import argparse
import asyncio
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple, Self

from benchmarks import events
from benchmarks.engines import LATELY, QUIX, STOCK, USERS, Engine
from benchmarks.measure import Run, StalledError, measure

ROOT = Path(__file__).parents[1]
WARM_UP = 2_000
PACKAGES = ("lately", "faust-streaming", "aiokafka", "rocksdict", "quixstreams")
ZIPF = LATELY._replace(name="Lately, Zipf 1.1")


def main() -> int:
    """Run the rounds, print the table; 1 if an engine stalls or leaves events without output."""
    options = _parser().parse_args()
    try:
        with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
            runs = asyncio.run(_rounds(bootstrap, Path(folder), options))
    except StalledError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(runs)))
    if options.json:
        report = {
            "machine": _machine(),
            "partitions": options.partitions,
            "runs": [run._asdict() for run in runs],
            "ratios": {name: ratio._asdict() for name, ratio in ratios(runs).items()},
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    unmerged = [run for run in runs if run.engine != ZIPF.name]
    return 0 if all(run.outputs == run.events for run in unmerged) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--events", type=int, default=300_000, help="events per run [%(default)s]")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each engine [%(default)s]")
    parser.add_argument("--partitions", type=int, default=4, help="of every topic [%(default)s]")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


@contextmanager
def kafka() -> Iterator[str]:
    """The Kafka at LATELY_TEST_BOOTSTRAP, or one started for this run."""
    if given := os.environ.get("LATELY_TEST_BOOTSTRAP"):
        yield given
        return
    # The broker is part of the tests, which exist only in the source tree, as the benchmarks do.
    from tests.kafka.broker import Broker, Unavailable

    with tempfile.TemporaryDirectory() as folder:
        broker = Broker(Path(folder))
        try:
            broker.start()
        except Unavailable as error:
            sys.exit(f"no Kafka to measure on: {error}")
        try:
            yield broker.bootstrap
        finally:
            broker.stop()


async def _rounds(bootstrap: str, folder: Path, options: argparse.Namespace) -> list[Run]:
    runs = []
    for number in range(options.rounds):
        for engine in (LATELY, QUIX, STOCK, ZIPF):
            records = _records(engine, options.events)
            try:
                run = await measure(
                    engine,
                    bootstrap,
                    records[:WARM_UP],
                    records[WARM_UP:],
                    options.partitions,
                    folder,
                    merges=engine is ZIPF,
                )
            except StalledError as error:
                raise StalledError(f"{engine.name} {error}") from None
            print(f"round {number + 1}  {_line(run)}", file=sys.stderr, flush=True)
            runs.append(run)
    return runs


def _records(engine: Engine, count: int) -> list[events.Record]:
    # The warm-up is extra. A share of the log is a share of the users, with as many events each.
    shape: events.Users = "zipf" if engine is ZIPF else "round robin"
    return events.make(WARM_UP + int(count * engine.share), int(USERS * engine.share), shape)


def _line(run: Run) -> str:
    return (
        f"{run.engine:<17} {run.events:>8,} events {run.outputs:>8,} outputs {run.wall_s:7.1f} s "
        f"{run.rate:>9,.0f}/s {run.cpu_us:>7.1f} µs CPU"
    )


def table(runs: Sequence[Run]) -> Iterator[str]:
    """Medians by engine, then our ratios to the others."""
    yield f"{'':<17} {'events/s':>10} {'steady':>10} {'CPU µs':>8} {'events':>9} {'outputs':>9}"
    for name, own in _by_engine(runs).items():
        middle = Medians.of(own)
        counts = f"{own[0].events:>9,} {median(run.outputs for run in own):>9,.0f}"
        rates = f"{middle.rate:>10,.0f} {middle.steady_rate:>10,.0f} {middle.cpu_us:>8.1f}"
        yield f"{name:<17} {rates} {counts}"
    yield ""
    for name, ratio in ratios(runs).items():
        yield (
            f"{LATELY.name} / {name:<13} {ratio.rate:>6.1f} ×   in rounds {ratio.lowest:.1f} to "
            f"{ratio.highest:.1f}, steady {ratio.steady_rate:.1f} ×, CPU {ratio.cpu_us:.1f} ×"
        )


class Medians(NamedTuple):
    """The medians of an engine's runs."""

    rate: float
    steady_rate: float
    cpu_us: float

    @classmethod
    def of(cls, runs: Sequence[Run]) -> Self:
        """The median of each figure separately."""
        return cls(
            median(run.rate for run in runs),
            median(run.steady_rate for run in runs),
            median(run.cpu_us for run in runs),
        )


class Ratio(NamedTuple):
    """Our median rates over theirs, and their CPU over ours: above 1 we are better.

    ``lowest`` and ``highest`` are the extremes of the rate's ratio over the rounds.
    """

    rate: float
    steady_rate: float
    cpu_us: float
    lowest: float
    highest: float


def ratios(runs: Sequence[Run]) -> dict[str, Ratio]:
    """Our ratios to each of the other engines."""
    by_engine = _by_engine(runs)
    ours = by_engine[LATELY.name]
    found = {}
    for engine in (STOCK, QUIX):
        theirs = by_engine[engine.name]
        mine, other = Medians.of(ours), Medians.of(theirs)
        rounds = [a.rate / b.rate for a, b in zip(ours, theirs, strict=True)]
        found[engine.name] = Ratio(
            mine.rate / other.rate,
            mine.steady_rate / other.steady_rate,
            other.cpu_us / mine.cpu_us,
            min(rounds),
            max(rounds),
        )
    return found


def _by_engine(runs: Sequence[Run]) -> dict[str, list[Run]]:
    found: dict[str, list[Run]] = {}
    for run in runs:
        found.setdefault(run.engine, []).append(run)
    return found


def _machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "cpus": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


if __name__ == "__main__":
    sys.exit(main())
