"""The engine without a model against other engines: ``python -m benchmarks.engine``.

One Kafka, one run, interleaved rounds; every engine runs in its own process.
benchmarks/README.md describes what is measured and how to read it.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks import engines, results
from benchmarks.checking import WrongError
from benchmarks.engines import LATELY, Engine
from benchmarks.measure import StalledError, measure
from benchmarks.peers import kafka_streams, snapshots
from benchmarks.results import Row
from benchmarks.summary import by, figure, less, more
from benchmarks.workloads import SHORT, WORKLOADS, ZIPF, Log, Workload

ROOT = Path(__file__).parents[1]
ENGINES = {
    "lately": engines.LATELY,
    "lately-python": engines.PLAIN,
    "kafka-streams": engines.STREAMS,
    "quix": engines.QUIX,
    "bytewax": engines.BYTEWAX,
    "faust": engines.STOCK,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds, print the table, save the rows; 1 if an engine stalls or is wrong."""
    options = _parser().parse_args(arguments)
    workload = WORKLOADS[options.workload]
    chosen, missing = available([ENGINES[name] for name in options.engines])
    for name, reason in missing.items():
        print(f"without {name}: {reason}", file=sys.stderr)
    try:
        with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
            rows = asyncio.run(_rounds(bootstrap, Path(folder), workload, chosen, options))
    except (StalledError, WrongError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(rows)))
    name = f"engine-{workload.name}"
    print(results.Result.now(name, rows, _versions(chosen)).save(options.results), file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--workload", choices=WORKLOADS, default=SHORT.name, help="[%(default)s]")
    parser.add_argument("--events", type=int, help="measured per run [the workload's]")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each engine [%(default)s]")
    parser.add_argument(
        "--engines", nargs="+", choices=ENGINES, default=list(ENGINES), metavar="ENGINE"
    )
    results.add_option(parser)
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


def available(wanted: Sequence[Engine]) -> tuple[list[Engine], dict[str, str]]:
    """The engines that run on this machine, and why the others do not."""
    found, missing = [], {}
    for engine in wanted:
        try:
            if engine is engines.STREAMS:
                kafka_streams.compiled()
            if engine is engines.BYTEWAX and not snapshots.PYTHON.is_file():
                raise kafka_streams.UnavailableError("`make bytewax` installs it")
        except kafka_streams.UnavailableError as error:
            missing[engine.name] = str(error)
        else:
            found.append(engine)
    return found, missing


async def _rounds(
    bootstrap: str,
    folder: Path,
    workload: Workload,
    chosen: Sequence[Engine],
    options: argparse.Namespace,
) -> list[Row]:
    count = options.events or workload.events
    logs: dict[float, Log] = {}
    rows = []
    for number in range(options.rounds):
        at = number % len(chosen)
        for engine in (*chosen[at:], *chosen[:at]):  # nobody is always first
            if engine.share not in logs:
                logs[engine.share] = workload.log(count, engine.share)
            log = logs[engine.share]
            try:
                run = await measure(
                    engine, bootstrap, log, workload.partitions, folder, turns=workload is not ZIPF
                )
            except (StalledError, WrongError) as error:
                raise type(error)(f"{engine.name}: {error}") from None
            row = {"round": number + 1, **run._asdict(), "users": log.users}
            print(f"round {number + 1}  {_line(row)}", file=sys.stderr, flush=True)
            rows.append(row)
    return rows


def _line(row: Row) -> str:
    return (
        f"{row['engine']:<30} {row['events']:>8,} events {row['outputs']:>8,} outputs "
        f"{row['wall_s']:6.1f} s {row['rate']:>9,.0f}/s {row['cpu_us']:>7.2f} µs CPU"
    )


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Medians by engine, then our ratios to the others."""
    of_engine = by(rows, "engine")
    yield f"{'':<30} {'CPU µs':>8} {'events/s':>10} {'steady':>10} {'events':>9} {'outputs':>9}"
    for name, own in of_engine.items():
        cpu_us, rates, steady = (figure(own, f).median for f in ("cpu_us", "rate", "steady_rate"))
        counts = f"{own[0]['events']:>9,} {figure(own, 'outputs').median:>9,.0f}"
        yield f"{name:<30} {cpu_us:>8.2f} {rates:>10,.0f} {steady:>10,.0f} {counts}"
    ours = of_engine.pop(LATELY.name, None)
    if ours is None:
        return
    yield ""
    for name, theirs in of_engine.items():
        cpu, rate = less(ours, theirs, "cpu_us"), more(ours, theirs, "rate")
        yield (
            f"{LATELY.name} against {name}: CPU {cpu.ratio:.2f} × ({cpu.lowest:.2f} to "
            f"{cpu.highest:.2f} in the rounds), events/s {rate.ratio:.2f} × ({rate.lowest:.2f} "
            f"to {rate.highest:.2f})"
        )


def _versions(chosen: Sequence[Engine]) -> dict[str, str]:
    found = {"Kafka": kafka_streams.VERSION}
    if engines.STREAMS in chosen:
        found |= {"Kafka Streams": kafka_streams.VERSION, "Java": kafka_streams.java_version()}
    if engines.BYTEWAX in chosen:
        found["Bytewax"] = snapshots.version()
    return found


if __name__ == "__main__":
    sys.exit(main())
