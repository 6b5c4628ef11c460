"""Arguments, checks and output shared by the model's commands."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from model.scratch import scratch_folder, whole_file

Events = Annotated[
    list[Path], typer.Argument(metavar="EVENTS...", help="Logs: .jsonl, .csv or .parquet.")
]
Folder = Annotated[Path, typer.Argument(metavar="DIR", help="The artifact's folder.")]
FolderOption = Annotated[
    Path, typer.Option("--artifact", metavar="DIR", help="The artifact's folder.")
]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Also write the figures here.")]
TitlesFile = Annotated[
    Path | None,
    typer.Option("--items", metavar="FILE", help="A file of items: show their titles, too."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def need_training() -> None:
    """Raise ``ModelError`` with what to install if the extra ``train`` is missing."""
    from importlib.util import find_spec

    from model.errors import ModelError, how_to_install

    for module in ("torch", "transformers", "polars", "sklearn"):
        if find_spec(module) is None:
            raise ModelError(f"{module} is not installed; {how_to_install()}")


def need_privacy() -> None:
    """Raise ``ModelError`` with what to install if the extra ``private`` is missing."""
    from importlib.util import find_spec

    from model.errors import ModelError, how_to_install

    if find_spec("opacus") is None:
        raise ModelError(f"opacus is not installed; {how_to_install()}")


def processes() -> int:
    """The number of processes started together by ``torchrun`` or ``accelerate launch``."""
    return int(os.environ.get("WORLD_SIZE", "1"))


@contextmanager
def output_folder(folder: Path) -> Iterator[Path]:
    """The folder for this process's artifact: a temporary one in all but the first process.

    ``torchrun`` and ``accelerate launch`` set ``RANK`` for each process.
    """
    if int(os.environ.get("RANK", "0")) == 0:
        yield folder
        return
    with scratch_folder() as scratch:
        yield scratch / folder.name


def check_json(path: Path | None) -> None:
    """Raise ``ModelError`` for a path that ``write_json`` could not write to."""
    from model.errors import ModelError

    if path is not None and not (path.parent.is_dir() and os.access(path.parent, os.W_OK)):
        raise ModelError(
            f"{path}: cannot be written, since {path.parent} is no folder that may be written to; "
            "choose another"
        )


def write_json(path: Path | None, figures: dict[str, Any]) -> None:
    """Write the figures if a path is given; raises ``ModelError`` if it cannot be written."""
    if path is None:
        return
    from model.errors import ModelError

    try:
        with whole_file(path) as part:
            part.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ModelError(f"{path}: cannot be written ({error.strerror}); choose another") from None


def say(line: str) -> None:
    """Print a note for the user on stderr, apart from the result."""
    print(line, file=sys.stderr, flush=True)


def columns(rows: list[list[str]], texts: int) -> str:
    """Aligned rows: the first ``texts`` columns to the left, figures to the right."""
    from rich.cells import cell_len

    from model.printable import printable

    shown = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    lines = []
    for row in shown:
        cells = []
        for column, (cell, width) in enumerate(zip(row, widths, strict=True)):
            blanks = " " * (width - cell_len(cell))
            cells.append(cell + blanks if column < texts else blanks + cell)
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
