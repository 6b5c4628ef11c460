"""The quality benchmark: ``python -m benchmarks.quality --format FORMAT --path DIR``."""

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import torch
import typer

from benchmarks.quality import jdata, next_item, peer
from benchmarks.quality.folder import Task, read_s3rec, read_sessions
from benchmarks.quality.report import table
from model.errors import ModelError
from model.training.registry import TRAININGS

NEXT_ITEM: Mapping[str, Callable[[Path], Task]] = {
    "s3rec": read_s3rec,
    "session-prefixes": read_sessions,
}
FORMATS = (*NEXT_ITEM, "jdata")


def main(
    data_format: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")],
    path: Annotated[Path, typer.Option(help="The folder of the data.")],
    minutes: Annotated[float | None, typer.Option(help="Limit of each training.")] = None,
    network: Annotated[str, typer.Option(help=f"One of {', '.join(TRAININGS)}.")] = "transformer",
    seeds: Annotated[str, typer.Option(help="One run per seed; the median is reported.")] = "0",
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 2,
    peer_python: Annotated[
        Path | None,
        typer.Option("--peer", help="RecTools' SASRec, as long: .venv-rectools/bin/python."),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
) -> None:
    """Train on a folder and evaluate the model and the baselines on the next item."""
    if data_format not in FORMATS:
        raise typer.BadParameter(f"{data_format!r} is not one of {', '.join(FORMATS)}")
    if peer_python:
        if data_format not in NEXT_ITEM:
            raise typer.BadParameter(f"--peer works with {' and '.join(NEXT_ITEM)} only")
        peer.check(peer_python)
    torch.set_num_threads(threads)
    numbers = [int(seed) for seed in seeds.split(",")]
    if data_format == "jdata":
        report = jdata.report(path, network, minutes, numbers)
    else:
        task = NEXT_ITEM[data_format](path)
        report = next_item.run(task, path, network, minutes, numbers)
        if peer_python:
            as_long = max(minutes or 0.0, report["train_s"] / 60)
            report["peers"] = {peer.NAME: peer.run(peer_python, task, as_long, numbers, threads)}
    typer.echo(table(report))
    if json_file:
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        typer.run(main)
    except ModelError as error:
        sys.exit(str(error))
