"""The commands that inspect, verify, extend, shrink and speed up an artifact."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from model.commands.common import Folder, Json, columns, need_training, say

if TYPE_CHECKING:
    from model.artifact.artifact import Artifact
    from model.packaging.shrink import Trial

NOTHING = "–"
Out = Annotated[Path, typer.Option(help="The folder to write the new artifact to.")]
Overwrite = Annotated[bool, typer.Option(help="Replace an existing artifact.")]


def inspect(folder: Folder, as_json: Json = False) -> None:
    """Show an artifact's configuration, training data, quality and size."""
    from model.artifact.artifact import inspect, inspect_metrics
    from model.artifact.page import page

    fields = inspect(folder)
    typer.echo(json.dumps(fields) if as_json else page(fields, inspect_metrics(folder)))


def verify(folder: Folder, as_json: Json = False) -> None:
    """Check every byte of an artifact, and that it can be served."""
    from model.serving.verify import verify

    fields = verify(folder).manifest
    if as_json:
        typer.echo(json.dumps(fields))
    else:
        typer.echo(f"{folder}: {fields['name']} {fields['version']} is in order")


def extend(
    folder: Folder,
    items: Annotated[
        Path, typer.Option(help="Items: item_id, category, title and other attributes.")
    ],
    out: Out,
    encoder: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the text encoder used in training, if not the one installed."
        ),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Add new items to an artifact, based on their titles and attributes alone."""
    need_training()
    from model.artifact.artifact import Artifact, check_place
    from model.data.log import read_items

    check_place(out, overwrite=overwrite)
    older = Artifact.open(folder)
    known = list(read_items(items, every_column=True).values())
    from model.packaging.extend import extend as write  # not before: it imports torch

    newer = write(older, known, out, encoder=encoder, overwrite=overwrite)
    added = newer.manifest.items - older.manifest.items
    typer.echo(
        f"{out}: {newer.config.name} {newer.version}, {added:,} more items than {older.version}"
    )


def shrink(
    folder: Folder,
    out: Out,
    events: Annotated[
        list[Path] | None,
        typer.Option(help="A log to measure on, as for `lately evaluate`; may be repeated."),
    ] = None,
    overwrite: Overwrite = False,
    as_json: Json = False,
) -> None:
    """Write a copy with int8 tables and no weights, for the onnx engine, and measure it."""
    need_training()
    from model.artifact.artifact import SHRUNK, Artifact
    from model.packaging.shrink import shrink as write
    from model.packaging.shrink import size_bytes
    from model.progress import progress

    whole = Artifact.open(folder)
    trial = _trial(whole, events) if events else None
    with progress("measuring", 2 * len(trial.exam) if trial else 0) as update:
        small = write(whole, out, trial and trial.heard_by(update), overwrite=overwrite)
    found = {**small.manifest.made[SHRUNK], "bytes": size_bytes(small), "version": small.version}
    if as_json:
        typer.echo(json.dumps(found))
        return
    typer.echo(columns(_before_and_after(found, whole.config.intents), texts=1))
    if trial is None:
        typer.echo("quality: not measured; give --events to measure the loss from int8")


def native(
    folder: Folder,
    out: Out,
    undo: Annotated[
        bool, typer.Option("--undo", help="Write one that the graph serves again.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a copy whose scores the native core computes: faster, and with a version of its own.

    A worker needs the native core to serve it.
    """
    from model.artifact.artifact import Artifact
    from model.packaging.catalogue_end import with_end

    end = "graph" if undo else "native"
    copy = with_end(Artifact.open(folder), end, out, overwrite=overwrite)
    server = "the graph" if undo else "the native core"
    typer.echo(f"{out}: {copy.config.name} {copy.version}, served by {server}")


def bf16(
    folder: Folder,
    out: Out,
    undo: Annotated[
        bool, typer.Option("--undo", help="Write one that the graph serves again.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Write a copy whose items are scored in bfloat16, for a GPU, with a version of its own.

    The best are scored once more in float32. The torch engine alone serves it.
    """
    from model.artifact.artifact import Artifact
    from model.packaging.catalogue_end import with_end

    end = "graph" if undo else "bfloat16"
    copy = with_end(Artifact.open(folder), end, out, overwrite=overwrite)
    server = "the graph" if undo else "the torch engine"
    typer.echo(f"{out}: {copy.config.name} {copy.version}, served by {server}")


def _trial(artifact: "Artifact", events: list[Path]) -> "Trial":
    from model.data.log import EventLog
    from model.evaluation.run import examine
    from model.packaging.shrink import Trial

    log = EventLog.open(events)
    return Trial(examine(artifact, log.frame, say), log.fingerprint)


def _before_and_after(found: Mapping[str, Any], intents: Iterable[str]) -> list[list[str]]:
    from model.artifact.page import shrunk_figures

    sizes = found["from_bytes"], found["bytes"]
    rows = [["", "before", "after", "change"]]
    rows.append(["bytes on disk", *(f"{size:,}" for size in sizes), f"×{sizes[1] / sizes[0]:.2f}"])
    for name in shrunk_figures(intents) if "before" in found else ():
        before, after = found["before"][name], found["after"][name]
        known = before is not None and after is not None
        cells = [NOTHING if figure is None else f"{figure:.4f}" for figure in (before, after)]
        rows.append([name, *cells, f"{round(after - before, 4) + 0.0:+.4f}" if known else NOTHING])
    return rows
