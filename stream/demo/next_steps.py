"""The next steps: commands to type after the demo, as they work from where the user stands."""

from pathlib import Path
from shlex import quote
from typing import NamedTuple

from stream.command_name import command_name, from_here


class NextStep(NamedTuple):
    """A command, and what it is for."""

    command: str
    purpose: str


def next_steps(artifact: Path) -> list[NextStep]:
    """Three commands; what needs a clone is left out without one."""
    lately, model = command_name(), quote(from_here(artifact))
    steps = [
        NextStep(
            f"{lately} artifact inspect {model}", "what this model is, and how well it predicts"
        ),
        NextStep(f"{lately} doctor --artifact {model}", "what a worker needs on your Kafka"),
    ]
    if (Path(__file__).parents[2] / "Makefile").is_file():
        steps.append(NextStep("make setup", "install all, to train on your own log: README.md"))
    return steps
