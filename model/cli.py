"""The model's commands: train, evaluate, convert, and a look at an artifact."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.convert import convert

if TYPE_CHECKING:
    from model.config import ArtifactConfig
    from model.dataset import Histories, Period
    from model.training import Progress

NETWORKS = ("transformer",)
INTENTS = ("cart", "buy")
PARTS = 1_000

Events = Annotated[
    list[Path], typer.Argument(metavar="EVENTS...", help="Logs: .jsonl, .csv or .parquet.")
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The artifact's folder.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def commands(app: typer.Typer) -> None:
    """Add the model's commands to an app."""
    app.command()(convert)
    app.command()(train)
    app.command()(evaluate)
    artifact = typer.Typer(help="Look at an artifact, or verify it.", no_args_is_help=True)
    artifact.command()(inspect)
    artifact.command()(verify)
    app.add_typer(artifact, name="artifact")


def train(
    events: Events,
    out: Annotated[Path, typer.Option(help="The folder to write the artifact to.")],
    network: Annotated[str, typer.Option(help=f"One of {', '.join(NETWORKS)}.")] = "transformer",
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Train no longer than this.")
    ] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the log, at most.")] = 10,
    items: Annotated[
        Path | None, typer.Option(help="Items the log may lack: item_id, category, title.")
    ] = None,
    name: Annotated[str, typer.Option(help="What scores call the model.")] = "lately",
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0,
    horizon_s: Annotated[
        int, typer.Option(min=1, help="Seconds within which a cart or buy counts.")
    ] = 1_800,
    actions: Annotated[str, typer.Option(help="All actions of the log.")] = "click,cart,buy",
    dim: Annotated[int, typer.Option(min=2, help="Width of the vectors, even.")] = 64,
    held_out: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="Newest share of the log to check on.")
    ] = 0.1,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1,
    overwrite: Annotated[bool, typer.Option(help="Replace an artifact that is there.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Train a model on event logs and write its artifact."""
    if network not in NETWORKS:
        raise typer.BadParameter(f"{network!r} is unknown; choose one of {', '.join(NETWORKS)}")
    if dim % 2:
        raise typer.BadParameter(f"--dim {dim}: expected an even number")
    config = _config(name, network, actions, horizon_s)
    _need_training()
    _set_torch_up(device, threads)
    from model.data import EventLog, read_items
    from model.progress import progress
    from model.training import Recipe
    from model.training_run import Plan, run

    recipe = Recipe(epochs=epochs, minutes=minutes, seed=seed)
    plan = Plan(config, recipe, width=dim, held_out=held_out, device=device)
    known = read_items(items) if items else {}
    log = EventLog.open(events)
    _say(f"{log.rows:,} rows, {log.duplicates:,} duplicates, {log.forgotten:,} forgotten")
    with progress("training", PARTS) as tell:
        artifact = run(log, plan, out, items=known, overwrite=overwrite, report=_reporter(tell))
    figures = artifact.read_object("metrics.json")
    _write(json_file, figures)
    _say_if_uncalibrated(figures["held_out"], horizon_s)
    found = figures["held_out"]["items"]
    typer.echo(
        f"{out}: {name} {artifact.version}, Recall@20 {found[name]['recall@20']:.3f} on the "
        f"newest {held_out:.0%} (popularity {found['popularity']['recall@20']:.3f})"
    )


def evaluate(
    folder: Folder,
    events: Events,
    json_file: JsonFile = None,
) -> None:
    """Ask the model, and each baseline, before every event that it was not trained on.

    Give the log it was trained on too: then its users are not strangers.
    """
    _need_training()
    from model.artifact import Artifact
    from model.baselines import BASELINES
    from model.data import EventLog
    from model.dataset import read_histories
    from model.evaluation import ask, evaluate
    from model.evaluation_report import table
    from model.progress import progress
    from model.serving.onnx import OnnxScorer

    artifact = Artifact.open(folder)
    config, catalogue = artifact.config, artifact.read_catalogue()
    histories = read_histories(EventLog.open(events).frame, catalogue, config)
    period = _unseen(histories, artifact.manifest.data)
    scorers = [OnnxScorer(artifact), *(make(artifact) for make in BASELINES.values())]
    total = len(ask(histories, config, period).end) * len(scorers)
    with progress("evaluating", total) as tell:
        evaluation = evaluate(scorers, histories, catalogue, config, period, tell)
    typer.echo(table(evaluation))
    _write(json_file, {"artifact": artifact.version, **evaluation.to_json()})


def inspect(folder: Folder, as_json: Json = False) -> None:
    """Show an artifact's manifest."""
    from model.artifact import inspect

    _show(inspect(folder), as_json)


def verify(folder: Folder, as_json: Json = False) -> None:
    """Check every byte of an artifact, and that it can be served."""
    from model.artifact import verify

    fields = verify(folder)
    if as_json:
        typer.echo(json.dumps(fields))
    else:
        typer.echo(f"{folder}: {fields['name']} {fields['version']} is in order")


def _config(name: str, network: str, actions: str, horizon_s: int) -> "ArtifactConfig":
    from model.baselines import BASELINES
    from model.config import ArtifactConfig

    if name in BASELINES:
        raise typer.BadParameter(f"--name {name} is what a baseline is called; choose another")
    kinds = tuple(kind.strip() for kind in actions.split(","))
    intents = tuple(kind for kind in INTENTS if kind in kinds)
    try:
        return ArtifactConfig(name, network, kinds, intents, horizon_s=horizon_s)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _set_torch_up(device: str, threads: int) -> None:
    import torch

    if device != "cpu" and not (device == "cuda" and torch.cuda.is_available()):
        raise typer.BadParameter(f"--device {device} is not there; use cpu")
    torch.set_num_threads(threads)


def _reporter(tell: "Callable[[int], None]") -> "Callable[[Progress], None]":
    def report(progress: "Progress") -> None:
        tell(int(progress.done * PARTS))
        if found := progress.validation:
            _say(
                f"epoch {progress.epoch}: loss {progress.loss:.3f}, held out "
                f"Recall@20 {found.recall:.4f}, MRR@20 {found.mrr:.4f}"
            )

    return report


def _say_if_uncalibrated(figures: dict[str, Any], horizon_s: int) -> None:
    if any(found["n"] == 0 for found in figures["intents"].values()):
        span_s = (figures["until_ms"] - figures["from_ms"]) // 1000
        _say(
            f"note: the newest events span {span_s:,} s, no more than the horizon of "
            f"{horizon_s:,} s, so intents are not calibrated; give a longer log, a larger "
            "--held-out or a shorter --horizon-s"
        )


def _unseen(histories: "Histories", data: Any) -> "Period":
    """The events later than those the weights, or at least the choice of them, have seen."""
    from model.dataset import SELECTED_UNTIL, TRAINED_UNTIL, Period
    from model.errors import DataError

    newest_ms = int(histories.times_ms.max())
    if newest_ms >= data[SELECTED_UNTIL]:
        return Period(data[SELECTED_UNTIL], newest_ms + 1)
    if newest_ms >= data[TRAINED_UNTIL]:
        _say("note: these events chose the best epoch; newer ones would be a fairer test")
        return Period(data[TRAINED_UNTIL], newest_ms + 1)
    raise DataError(
        f"the newest event is of {newest_ms} ms, but the model was trained on all before "
        f"{data[TRAINED_UNTIL]} ms; give a log with newer events"
    )


def _show(fields: dict[str, Any], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(fields))
        return
    for name, value in fields.items():
        if isinstance(value, dict):
            typer.echo(name)
            for part, content in value.items():
                typer.echo(f"  {part}: {_brief(content)}")
        else:
            typer.echo(f"{name}: {_brief(value)}")


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {part}" for name, part in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _need_training() -> None:
    from importlib.util import find_spec

    from model.errors import ModelError

    for module in ("torch", "transformers", "polars", "sklearn"):
        if find_spec(module) is None:
            raise ModelError(f"{module} is not installed; pip install 'lately[train]'")


def _write(path: Path | None, figures: dict[str, Any]) -> None:
    if path is None:
        return
    from model.errors import ModelError

    try:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror}); choose another") from None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
