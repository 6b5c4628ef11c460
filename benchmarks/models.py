"""The worker with a model beside its bare scorer: ``python -m benchmarks.models``.

In each round the worker runs on a real Kafka, and then the scorer alone scores users of the same
log in this process, on one thread. Both are given as CPU per score.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from benchmarks import results
from benchmarks.checking import WrongError
from benchmarks.engine import ROOT, kafka
from benchmarks.engines import LATELY, start_lately
from benchmarks.measure import Run, StalledError, measure
from benchmarks.results import Row
from benchmarks.scorer import make_artifact
from benchmarks.summary import by, figure
from benchmarks.workloads import SHORT, Log, States
from model import native
from model.artifact.artifact import Artifact
from model.packaging.catalogue_end import with_end
from model.sequence import Sequence as Actions
from model.serving import load_scorer

DEMO = ROOT / "model" / "demo_artifact"
LARGE, WIDTH = 50_000, 64
EVENTS = 40_000
PARTITIONS = 2  # so that each has users enough for one score an event
ALONE_USERS = 512
ALONE_S = 0.5
NAMES = {"graph": "ONNX Runtime", "native": "native core"}


class Model(NamedTuple):
    """A model, and a log of its items."""

    name: str
    artifact: Path
    log: Log


def main(arguments: list[str] | None = None) -> int:
    """Run the rounds, print the table and save the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.models", description=__doc__)
    parser.add_argument("--events", type=int, default=EVENTS, help="measured a run [%(default)s]")
    parser.add_argument("--rounds", type=int, default=5, help="[%(default)s]")
    results.add_option(parser)
    options = parser.parse_args(arguments)
    try:
        with kafka() as bootstrap, tempfile.TemporaryDirectory() as folder:
            chosen = list(models(Path(folder), options.events))
            rows = []
            for number in range(options.rounds):
                for model in chosen:
                    row = _round(bootstrap, Path(folder), model)
                    rows.append({"round": number + 1, **row})
                    print("  ".join(f"{k} {v}" for k, v in rows[-1].items()), file=sys.stderr)
    except (StalledError, WrongError) as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(table(rows)))
    print(results.Result.now("models", rows).save(options.results), file=sys.stderr)
    return 0


def models(folder: Path, events: int) -> Iterator[Model]:
    """The demo's model as it is, one of its size with the native core, and a large one with both.

    All but the demo's are untrained: the cost does not depend on the weights.
    """
    demo = Artifact.open(DEMO)
    small = make_artifact(folder / "small", demo.manifest.items, WIDTH)
    large = make_artifact(folder / "large", LARGE, WIDTH)
    chosen = [("demo", demo), (f"{LARGE:,} items", large)]
    if native.AVAILABLE:
        for name, artifact in (("the demo's size", small), (f"{LARGE:,} items", large)):
            copy = folder / f"native-{artifact.manifest.items}"
            chosen.append((name, with_end(artifact, "native", copy)))
    for name, artifact in chosen:
        log = SHORT.log(events, items=artifact.read_catalogue().items)
        yield Model(f"{name}, {NAMES[artifact.config.catalogue_end]}", artifact.folder, log)


def _round(bootstrap: str, folder: Path, model: Model) -> Row:
    engine = LATELY._replace(name=model.name, start=partial(start_lately, artifact=model.artifact))
    run: Run = asyncio.run(measure(engine, bootstrap, model.log, PARTITIONS, folder, turns=True))
    return {
        "model": model.name,
        "worker_us": run.cpu_us * run.events / run.outputs,
        "alone_us": alone_us(model),
        "scores_per_s": run.outputs / run.wall_s,
        "events": run.events,
        "outputs": run.outputs,
        "rss_bytes": run.rss_bytes,
    }


def alone_us(model: Model) -> float:
    """CPU of the scorer alone, in microseconds per score."""
    scorer = load_scorer(model.artifact)
    users = list(sequences(model.log.states()))[:ALONE_USERS]
    scorer.score(users)  # warms up
    started, scored = time.process_time(), 0
    while time.process_time() - started < ALONE_S:
        scorer.score(users)
        scored += len(users)
    return (time.process_time() - started) / scored * 1e6


def sequences(states: States) -> Iterator[Actions]:
    """Sequences as long as the users' on average over the measured events."""
    mean = SHORT.before + SHORT.per_user // 2
    for actions in states.values():
        items, kinds, times_ms = zip(*actions[:mean], strict=True)
        yield Actions(items, kinds, times_ms, times_ms[-1])


def table(rows: Sequence[Row]) -> Iterator[str]:
    """Medians by model, and the share of a worker's CPU that its scorer takes alone."""
    yield f"{'':<30} {'worker µs':>10} {'alone µs':>10} {'share':>7} {'scores/s':>10}"
    for name, own in by(rows, "model").items():
        worker, alone, rate = (
            figure(own, field).median for field in ("worker_us", "alone_us", "scores_per_s")
        )
        yield f"{name:<30} {worker:>10.1f} {alone:>10.1f} {alone / worker:>7.0%} {rate:>10,.0f}"


if __name__ == "__main__":
    sys.exit(main())
