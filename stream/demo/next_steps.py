"""The next steps: commands to type after the demo, as they work from where the user stands."""

import os
import sys
from pathlib import Path
from typing import NamedTuple


class NextStep(NamedTuple):
    """A command, and what it is for."""

    command: str
    purpose: str


def next_steps(artifact: Path) -> list[NextStep]:
    """Three commands; what needs a clone is left out without one."""
    lately, model = _lately(), _from_here(artifact)
    steps = [
        NextStep(
            f"{lately} artifact inspect {model}", "what this model is, and how well it predicts"
        ),
        NextStep(f"{lately} doctor --artifact {model}", "what a worker needs on your Kafka"),
    ]
    if (Path(__file__).parents[2] / "Makefile").is_file():
        steps.append(NextStep("make setup", "install all, to train on your own log: README.md"))
    return steps


def _lately() -> str:
    """The command as it can be typed: it need not be on PATH."""
    beside = Path(sys.executable).parent / "lately"
    return _from_here(beside) if beside.exists() else "lately"


def _from_here(path: Path) -> str:
    shorter = os.path.relpath(path)
    return str(path) if shorter.startswith("..") else shorter
