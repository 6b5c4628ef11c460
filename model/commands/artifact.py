"""The commands that look at an artifact, verify it, or add items to it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from model.commands.common import Folder, Json, need_training


def inspect(folder: Folder, as_json: Json = False) -> None:
    """Show what an artifact is, from which data, how well it does, and how large it is."""
    from model.artifact import inspect, inspect_metrics
    from model.artifact_page import page

    fields = inspect(folder)
    typer.echo(json.dumps(fields) if as_json else page(fields, inspect_metrics(folder)))


def verify(folder: Folder, as_json: Json = False) -> None:
    """Check every byte of an artifact, and that it can be served."""
    from model.artifact import verify

    fields = verify(folder)
    if as_json:
        typer.echo(json.dumps(fields))
    else:
        typer.echo(f"{folder}: {fields['name']} {fields['version']} is in order")


def extend(
    folder: Folder,
    items: Annotated[
        Path, typer.Option(help="Items: item_id, category, title, and whatever else.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write the new artifact to.")],
    encoder: Annotated[
        Path | None,
        typer.Option(
            help="The folder of the text encoder it was trained with, if it was not lately[text]'s."
        ),
    ] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace an artifact that is there.")] = False,
) -> None:
    """Add items that an artifact lacks, known by their titles and attributes alone."""
    need_training()
    from model.artifact import Artifact
    from model.data.log import read_items
    from model.extension import extend as write

    older = Artifact.open(folder)
    known = list(read_items(items, every_column=True).values())
    newer = write(older, known, out, encoder=encoder, overwrite=overwrite)
    added = newer.manifest.items - older.manifest.items
    typer.echo(
        f"{out}: {newer.config.name} {newer.version}, {added:,} items more than {older.version}"
    )
