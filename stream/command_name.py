"""The command's own name, as the user has to type it again."""

import os
import shutil
import sys
from pathlib import Path
from shlex import quote

NAME = "lately"


def command_name() -> str:
    """`lately` where that finds this one, else the path to it; it need not be on PATH."""
    here = Path(sys.argv[0])
    if here.name != NAME:  # run as a module
        here = Path(sys.executable).parent / NAME
    here = here.absolute()
    found = shutil.which(NAME)
    if not here.exists() or (found is not None and Path(found).absolute() == here):
        return NAME
    return quote(from_here(here))


def from_here(path: Path) -> str:
    """The path as it is typed in the current folder: relative if the file lies below it."""
    shorter = os.path.relpath(path)
    return str(path) if shorter.startswith("..") else shorter


def as_typed(text: str) -> str:
    """A message with the commands in it, `lately …`, as they can be typed."""
    return text.replace(f"`{NAME} ", f"`{command_name()} ") if f"`{NAME} " in text else text
