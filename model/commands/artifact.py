"""The commands that look at an artifact, or verify it."""

import json

import typer

from model.commands.common import Folder, Json


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
