"""The command ``similar``: shows which items are alike."""

import json
from typing import Annotated, get_args

import typer

from model.commands.common import FolderOption, Json, TitlesFile, columns

Top = Annotated[int, typer.Option(min=1, help="The number of items to show.")]


def similar(
    item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's id.")],
    artifact: FolderOption,
    by: Annotated[str, typer.Option(help="behaviour, text or both.")] = "behaviour",
    top: Top = 10,
    items: TitlesFile = None,
    as_json: Json = False,
) -> None:
    """Show the items most similar to one, by user behaviour or by their texts."""
    from model.artifact.artifact import Artifact
    from model.data.titles import read_titles, short_title
    from model.understanding.similar import By, similar

    if by not in get_args(By):
        raise typer.BadParameter(f"--by {by}: expected one of {', '.join(get_args(By))}")
    titles = read_titles(items)
    found = similar(Artifact.open(artifact), item, by, top)  # type: ignore[arg-type]
    if as_json:
        named = [one._asdict() | {"title": titles.get(one.item_id)} for one in found]
        typer.echo(json.dumps(named))
        return
    rows = [["item", *(["title"] if titles else []), "category", "cosine"]]
    for name, category, cosine in found:
        title = [short_title(titles, name)] if titles else []
        rows.append([name, *title, category or "–", f"{cosine:.4f}"])
    typer.echo(columns(rows, texts=len(rows[0]) - 1))
