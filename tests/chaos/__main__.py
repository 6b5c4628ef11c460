"""The command: ``python -m tests.chaos`` runs faults on seeds, and prints a line for each fault."""

import json
import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Annotated

import pytest
import typer

from tests.chaos import result
from tests.chaos.cluster import Cluster, cluster
from tests.chaos.faults import FAULTS
from tests.chaos.faults.fault import Fault
from tests.chaos.result import Result
from tests.chaos.run import Run
from tests.kafka.artifact import find_artifact, items_of
from tests.kafka.load import Load


def main(
    fault: Annotated[list[str] | None, typer.Option(help="Only these; several times.")] = None,
    seed: Annotated[list[int] | None, typer.Option(help="Only these seeds; 0 to 4.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Begin no run after so long: a mix, seed by seed.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Append results to this file.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Where failing runs leave a folder.")] = None,
    show: Annotated[bool, typer.Option("--list", help="List the faults.")] = False,
) -> None:
    """Break the workers in every way, and let the oracle judge what is left."""
    if show:
        typer.echo("\n".join(f"{name:<28} {fault.says}" for name, fault in FAULTS.items()))
        return
    names = fault or list(FAULTS)
    for name in names:
        if name not in FAULTS:
            raise typer.BadParameter(f"{name!r} is none of {', '.join(FAULTS)}")
    logging.disable(logging.ERROR)  # what aiokafka says of brokers that we kill helps nobody
    deadline_s = time.monotonic() + minutes * 60 if minutes else float("inf")
    scratch = Path(mkdtemp(prefix="lately-chaos-"))
    typer.echo(result.head())
    failed = 0
    try:
        with shared(scratch) as brokers:
            plan = _plan(names, seed or list(range(5)), mix=minutes is not None)
            for fault_name, seeds in plan:
                results: list[Result] = []
                for number in seeds:
                    if time.monotonic() > deadline_s:
                        break
                    found = run_once(FAULTS[fault_name], number, brokers, scratch, keep)
                    results.append(found)
                    if out:
                        with out.open("a", encoding="utf-8") as file:
                            file.write(json.dumps(found.to_json()) + "\n")
                if results:
                    typer.echo(result.line(results))
                    failed += _complain(results)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    raise typer.Exit(1 if failed else 0)


def _plan(names: list[str], seeds: list[int], mix: bool) -> list[tuple[str, list[int]]]:
    """Fault by fault, all seeds of each; a mix: seed by seed, the faults in an order of its own."""
    if not mix:
        return [(name, seeds) for name in names]
    return [
        (name, [seed]) for seed in seeds for name in Random(f"mix {seed}").sample(names, len(names))
    ]


def _complain(results: list[Result]) -> int:
    wrong = [found for found in results if not found.passed]
    for found in wrong:
        typer.echo(f"  seed {found.seed}: {found.error or found.first}")
    return len(wrong)


@contextmanager
def shared(scratch: Path) -> Iterator[Cluster]:
    """The broker of all runs that do it no harm."""
    with cluster("shared", scratch / "shared") as running:
        yield running


def run_once(fault: Fault, seed: int, brokers: Cluster, scratch: Path, keep: Path | None) -> Result:
    """One run; a failing one leaves its folder in ``keep``."""
    folder = scratch / f"{fault.name}-{seed}"
    folder.mkdir()
    artifact = find_artifact()
    messages = Load(seed, items_of(artifact), fault.events).messages()
    if fault.kind == "shared":
        found = _run(Run(fault.name, seed, brokers, folder, artifact, messages), fault)
    else:
        with cluster(fault.kind, folder / "kafka") as own:
            found = _run(Run(fault.name, seed, own, folder, artifact, messages), fault)
    if not found.passed and keep:
        shutil.copytree(folder, keep / folder.name, dirs_exist_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
    return found


def _run(run: Run, fault: Fault) -> Result:
    try:
        run.stage.open()
        fault.inject(run)
        return run.finish()
    except (Exception, pytest.skip.Exception) as error:  # noqa: BLE001 - breaking off is a result
        said = f"{type(error).__name__}: {error}"
        run.say(said)
        return Result(run.fault, run.seed, run.stage.fed, run.differences, 0, 0, run.first, said)
    finally:
        run.close()


if __name__ == "__main__":
    typer.run(main)
