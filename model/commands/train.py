"""The command that trains: from event logs to an artifact."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.commands.common import (
    Events,
    JsonFile,
    need_privacy,
    need_training,
    place_of,
    processes,
    say,
    write_json,
)
from model.training.registry import SEQUENCE_TRAINING, TRAININGS

if TYPE_CHECKING:
    from model.config import ArtifactConfig
    from model.training.plan import Progress

INTENTS = ("cart", "buy")
TUNES = ("top", "all", "lora")
PARTS = 1_000
EPOCHS, PRIVATE_EPOCHS = 100, 20


def train(
    events: Events,
    out: Annotated[Path, typer.Option(help="The folder to write the artifact to.")],
    network: Annotated[str, typer.Option(help=f"One of {', '.join(TRAININGS)}.")] = "transformer",
    minutes: Annotated[
        float | None, typer.Option(min=0.01, help="Train no longer than this.")
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            min=1, help="Passes over the log, at most 100; with --dp-epsilon just so many, 20."
        ),
    ] = None,
    items: Annotated[
        Path | None, typer.Option(help="Items: item_id, category, title, and whatever else.")
    ] = None,
    name: Annotated[str, typer.Option(help="What scores call the model.")] = "lately",
    seed: Annotated[int, typer.Option(help="The same seed gives the same weights.")] = 0,
    horizon_s: Annotated[
        int, typer.Option(min=1, help="Seconds within which a cart or buy counts.")
    ] = 1_800,
    actions: Annotated[str, typer.Option(help="All actions of the log.")] = "click,cart,buy",
    dim: Annotated[int, typer.Option(min=2, help="Width of the vectors, even.")] = 96,
    held_out: Annotated[
        float, typer.Option(min=0.01, max=0.5, help="Newest share of the log to check on.")
    ] = 0.1,
    tune: Annotated[
        str, typer.Option(help=f"What of the text encoder bert trains: {', '.join(TUNES)}.")
    ] = "top",
    encoder: Annotated[
        Path | None,
        typer.Option(help="A folder with a BERT-family text encoder, instead of lately[text]'s."),
    ] = None,
    refit: Annotated[
        bool, typer.Option(help="In the end learn again, from the newest share too.")
    ] = True,
    checkpoints: Annotated[
        Path | None, typer.Option(help="A folder to go on from, should the training break off.")
    ] = None,
    texts: Annotated[
        bool, typer.Option(help="Let the items' titles say what an item is like.")
    ] = True,
    start: Annotated[
        Path | None,
        typer.Option("--from", help="An older artifact, to start from what it learnt."),
    ] = None,
    dp_epsilon: Annotated[
        float | None,
        typer.Option(min=0.01, help="Let no user change the model by more than this ε."),
    ] = None,
    dp_delta: Annotated[
        float | None,
        typer.Option(min=1e-15, max=0.1, help="But for this δ; a tenth of one in all users."),
    ] = None,
    dp_clip: Annotated[
        float, typer.Option(min=1e-3, help="The longest gradient that a user may give.")
    ] = 1.0,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option(min=1, help="Processor threads.")] = 1,
    overwrite: Annotated[bool, typer.Option(help="Replace an artifact that is there.")] = False,
    json_file: JsonFile = None,
) -> None:
    """Train a model on event logs and write its artifact."""
    if network not in TRAININGS:
        raise typer.BadParameter(f"{network!r} is unknown; choose one of {', '.join(TRAININGS)}")
    if tune not in TUNES:
        raise typer.BadParameter(f"--tune {tune}: choose one of {', '.join(TUNES)}")
    if start and TRAININGS[network] != SEQUENCE_TRAINING:
        raise typer.BadParameter(f"--from: {network} always starts afresh; leave it out")
    if dim % 2:
        raise typer.BadParameter(f"--dim {dim}: expected an even number")
    if processes() > 1 and (dp_epsilon or TRAININGS[network] != SEQUENCE_TRAINING):
        which = "--dp-epsilon" if dp_epsilon else network
        raise typer.BadParameter(f"{which} trains in one process, {processes()} were started")
    if dp_epsilon is not None:
        _refuse_with_privacy(network, start, checkpoints, minutes, items, refit)
        need_privacy()
    config = _config(name, network, actions, horizon_s)
    need_training()
    _set_torch_up(device, threads)
    from model.data.log import EventLog, read_items
    from model.progress import progress
    from model.training.plan import Plan, Privacy, Recipe
    from model.training.run import run

    epochs = epochs or (PRIVATE_EPOCHS if dp_epsilon else EPOCHS)
    recipe = Recipe(epochs=epochs, minutes=minutes, seed=seed)
    plan = Plan(
        config,
        recipe,
        width=dim,
        held_out=held_out,
        device=device,
        encoder=encoder,
        texts=texts,
        start=start,
        tune=tune,
        refit=refit,
        checkpoints=checkpoints,
        privacy=None if dp_epsilon is None else Privacy(dp_epsilon, dp_delta, dp_clip),
    )
    known = read_items(items) if items else {}
    log = EventLog.open(events)
    say(f"{log.rows:,} rows, {log.duplicates:,} duplicates, {log.forgotten:,} forgotten")
    with place_of(out) as folder, progress("training", PARTS) as tell:
        artifact = run(log, plan, folder, items=known, overwrite=overwrite, report=_reporter(tell))
        figures = artifact.read_object("metrics.json")
    write_json(json_file, figures)
    if unused := artifact.manifest.made.get("titles_unused"):
        say(f"note: {unused}")
    if plan.privacy:
        promise = artifact.manifest.made["privacy"]
        typer.echo(
            f"{out}: {name} {artifact.version}, ε {promise['epsilon']}, δ {promise['delta']:.1e} "
            f"for each of {promise['users']:,} users; evaluate it on later events"
        )
        return
    _say_if_known_before(artifact.manifest.made, figures["held_out"])
    _say_if_uncalibrated(figures["held_out"], horizon_s)
    found = figures["held_out"]["items"]
    typer.echo(
        f"{out}: {name} {artifact.version}, Recall@20 {found[name]['recall@20']:.3f} on the "
        f"newest {held_out:.0%} (popularity {found['popularity']['recall@20']:.3f})"
    )


def _refuse_with_privacy(
    network: str,
    start: Path | None,
    checkpoints: Path | None,
    minutes: float | None,
    items: Path | None,
    refit: bool,
) -> None:
    """Raise ``BadParameter`` for what would break the promise, or cannot keep it."""
    for wrong, line in (
        (TRAININGS[network] != SEQUENCE_TRAINING, f"{network} cannot be trained so; see --network"),
        (start, "--from may know the same users already; leave it out"),
        (checkpoints, "--checkpoints are not written, for steps do not follow from the seed"),
        (minutes, "--minutes would tell how long the users' events took; say it by --epochs"),
        (items is None, "the log's own items tell of who acted on them; give the list by --items"),
        (not refit, "nothing is held out, for that would tell of users, too; leave out --no-refit"),
    ):
        if wrong:
            raise typer.BadParameter(f"--dp-epsilon: {line}")


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
            say(
                f"epoch {progress.epoch:.3g}: loss {progress.loss:.3f}, held out "
                f"Recall@20 {found.recall:.4f}, MRR@20 {found.mrr:.4f}"
            )

    return report


def _say_if_known_before(made: Mapping[str, Any], figures: dict[str, Any]) -> None:
    until_ms = made.get("from", {}).get("trained_until_ms")
    if until_ms and until_ms > figures["from_ms"]:
        say(
            "note: the older model had learnt from some of the newest events already, so the "
            "figures on them flatter; evaluate on a later log"
        )


def _say_if_uncalibrated(figures: dict[str, Any], horizon_s: int) -> None:
    if any(found["n"] == 0 for found in figures["intents"].values()):
        span_s = (figures["until_ms"] - figures["from_ms"]) // 1000
        say(
            f"note: the newest events span {span_s:,} s, no more than the horizon of "
            f"{horizon_s:,} s, so intents are not calibrated; give a longer log, a larger "
            "--held-out or a shorter --horizon-s"
        )
