"""The model's commands, mounted on an app."""

import typer

from model.commands.artifact import inspect, verify
from model.commands.convert import convert
from model.commands.evaluate import evaluate
from model.commands.train import train


def commands(app: typer.Typer) -> None:
    """Add the model's commands to an app."""
    app.command()(convert)
    app.command()(train)
    app.command()(evaluate)
    artifact = typer.Typer(help="Look at an artifact, or verify it.", no_args_is_help=True)
    artifact.command()(inspect)
    artifact.command()(verify)
    app.add_typer(artifact, name="artifact")
