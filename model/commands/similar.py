"""The command ``similar``: shows which items are alike."""

import json
from typing import Annotated, get_args

import typer

from model.commands.common import FolderOption, Json, columns

Top = Annotated[int, typer.Option(min=1, help="The number of items to show.")]


def similar(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's id.")],
    artifact: FolderOption,
    by: Annotated[str, typer.Option(help="behaviour, text or both.")] = "behaviour",
    top: Top = 10,
    as_json: Json = False,
) -> None:
    """Show the items most similar to one, by user behaviour or by their texts."""
    from model.artifact.artifact import Artifact
    from model.understanding.similar import By, similar

    if by not in get_args(By):
        raise typer.BadParameter(f"--by {by}: expected one of {', '.join(get_args(By))}")
    found = similar(Artifact.open(artifact), item, by, top)  # type: ignore[arg-type]
    if as_json:
        typer.echo(json.dumps([neighbour._asdict() for neighbour in found]))
        return
    rows = [["item", "category", "cosine"]]
    rows += [[name, category or "–", f"{cosine:.4f}"] for name, category, cosine in found]
    typer.echo(columns(rows, texts=2))
