"""The command ``train``: trains a model on event logs and writes its artifact."""

import time
from collections.abc import Callable, Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any

import typer

from model.commands.common import (
    check_json,
    need_privacy,
    need_training,
    output_folder,
    say,
    write_json,
)
from model.commands.train_options import TrainOptions

if TYPE_CHECKING:
    from model.artifact.artifact import Artifact
    from model.progress import Update
    from model.training.plan import Plan, Progress

STEPS = 1_000  # of the progress bar


def train(**given: Any) -> None:
    """Train a model on event logs and write its artifact."""
    started_s = time.monotonic()
    options = TrainOptions(**given)
    options.check()
    if options.is_private:
        need_privacy()
    config = options.config()
    if not config.intents:
        say(
            "note: no action is called cart or buy, so the model predicts no intents; say which "
            "actions count, such as --intent buy=ACTION"
        )
    need_training()
    _check_paths(options)
    if options.device != "cpu":
        _check_device(options.device)
    artifact, figures = _run(options, options.plan(config), started_s)
    write_json(options.json_file, figures)
    if unused := artifact.manifest.made.get("titles_unused"):
        say(f"note: {unused}")
    if artifact.manifest.made.get("refit_skipped"):
        say(
            "note: --minutes left no time to train again with the newest events, so the model "
            "has only been selected on them"
        )
    if options.is_private:
        _print_guarantee(options, artifact)
    else:
        _print_figures(options, artifact, figures["held_out"])


# Typer reads the options from the table.
train.__signature__ = signature(TrainOptions)  # type: ignore[attr-defined]


def _check_paths(options: TrainOptions) -> None:
    """Look at all that is read and written before anything that takes time."""
    from model.artifact.artifact import check_place, inspect
    from model.data.log_files import check_start

    for path in options.events:
        check_start(path)
    check_place(options.out, overwrite=options.overwrite)
    check_json(options.json_file)
    if options.items is not None and not options.items.is_file():
        raise typer.BadParameter(f"--items {options.items}: no such file")
    if options.start is not None:
        inspect(options.start)
    if options.encoder is not None and not options.encoder.is_dir():
        raise typer.BadParameter(f"--encoder {options.encoder}: no such folder")
    if options.checkpoints is not None and options.checkpoints.is_file():
        raise typer.BadParameter(f"--checkpoints {options.checkpoints}: a file, expected a folder")


def _run(
    options: TrainOptions, plan: "Plan", started_s: float
) -> "tuple[Artifact, dict[str, Any]]":
    """The artifact and its figures, read before all but the first process delete theirs."""
    from model.artifact.artifact import METRICS
    from model.data.log import EventLog, read_items
    from model.progress import progress
    from model.training.run import run
    from model.training.time_limit import TimeLimit

    with output_folder(options.out) as folder, progress("reading", STEPS) as update:
        items = read_items(options.items) if options.items else {}
        log = EventLog.open(options.events)
        say(f"{log.rows:,} rows, {log.duplicates:,} duplicates, {log.forgotten:,} forgotten")
        artifact = run(
            log,
            plan,
            folder,
            items=items,
            overwrite=options.overwrite,
            threads=options.threads,
            limit=TimeLimit(started_s, options.minutes),
            report=_reporter(update),
        )
        return artifact, artifact.read_object(METRICS)


def _check_device(device: str) -> None:
    if device == "cuda":
        import torch

        if torch.cuda.is_available():
            return
    raise typer.BadParameter(f"--device {device} is not available; use cpu")


def _reporter(update: "Update") -> "Callable[[Progress], None]":
    def report(progress: "Progress") -> None:
        update(int(progress.done * STEPS), progress.phase)
        if found := progress.validation:
            say(
                f"epoch {progress.epoch:.3g}: loss {progress.loss:.3f}, held out "
                f"Recall@20 {found.recall:.4f}, MRR@20 {found.mrr:.4f}"
            )

    return report


def _print_guarantee(options: TrainOptions, artifact: "Artifact") -> None:
    guarantee = artifact.manifest.made["privacy"]
    typer.echo(
        f"{options.out}: {options.name} {artifact.version}, ε {guarantee['epsilon']}, "
        f"δ {guarantee['delta']:.1e} for each of {guarantee['users']:,} users; evaluate it on "
        "later events"
    )


def _print_figures(
    options: TrainOptions, artifact: "Artifact", held_out: Mapping[str, Any]
) -> None:
    _warn_if_trained_before(artifact.manifest.made, held_out)
    _warn_if_uncalibrated(held_out, options.horizon_s)
    _warn_if_never(held_out)
    model, popularity = (held_out["items"][who] for who in (options.name, "popularity"))
    typer.echo(
        f"{options.out}: {options.name} {artifact.version}, Recall@20 {model['recall@20']:.3f} on "
        f"the newest {options.held_out:.0%} (popularity {popularity['recall@20']:.3f})"
    )


def _warn_if_trained_before(made: Mapping[str, Any], held_out: Mapping[str, Any]) -> None:
    until_ms = made.get("from", {}).get("trained_until_ms")
    if until_ms and until_ms > held_out["from_ms"]:
        say(
            "note: the older model was already trained on some of the newest events, so the "
            "figures on them are too good; evaluate on a later log"
        )


def _warn_if_uncalibrated(held_out: Mapping[str, Any], horizon_s: int) -> None:
    if any(found["n"] == 0 for found in held_out["intents"].values()):
        span_s = (held_out["until_ms"] - held_out["from_ms"]) // 1000
        say(
            f"note: the newest events span {span_s:,} s, no more than the horizon of "
            f"{horizon_s:,} s, so intents are not calibrated; give a longer log, a larger "
            "--held-out or a shorter --horizon-s"
        )


def _warn_if_never(held_out: Mapping[str, Any]) -> None:
    never = [name for name, found in held_out["intents"].items() if found["n"] and not found["yes"]]
    if never:
        say(
            f"note: none of the newest events counts as {' or '.join(never)}, so the model gives "
            "it next to no probability; look at the names in --actions and --intent"
        )
