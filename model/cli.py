"""Mounts the model's commands on a Typer app."""

import typer

from model.commands.artifact import bf16, extend, inspect, native, shrink, verify
from model.commands.convert import convert
from model.commands.evaluate import evaluate
from model.commands.explain import ReadSequence, explain_command
from model.commands.pseudonymise import pseudonymise
from model.commands.similar import similar
from model.commands.together import together
from model.commands.train import train


def commands(app: typer.Typer, read: ReadSequence) -> None:
    """Add the model's commands to an app; ``read`` reads a user's sequence for ``explain``."""
    app.command()(convert)
    app.command()(pseudonymise)
    app.command()(train)
    app.command()(evaluate)
    app.command()(similar)
    app.command()(explain_command(read))
    app.command()(together)
    artifact = typer.Typer(
        help="Look at an artifact, verify it, add items to it, make it smaller or faster.",
        no_args_is_help=True,
    )
    artifact.command()(inspect)
    artifact.command()(verify)
    artifact.command()(extend)
    artifact.command()(shrink)
    artifact.command()(native)
    artifact.command()(bf16)
    app.add_typer(artifact, name="artifact")
