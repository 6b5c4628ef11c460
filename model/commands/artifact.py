"""The commands that look at an artifact, or verify it."""

import json
from typing import Any

import typer

from model.commands.common import Folder, Json


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
