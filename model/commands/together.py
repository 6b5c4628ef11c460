"""The command ``together``: shows what is bought together."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from model.commands.common import Events, Json, TitlesFile, columns, say

if TYPE_CHECKING:
    from model.understanding.together import Together


def together(
    events: Events,
    by: Annotated[str, typer.Option(help="item or category.")] = "item",
    item: Annotated[
        str | None, typer.Option(help="Only pairs with this item, or category.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="The number of pairs to show.")] = 20,
    action: Annotated[str, typer.Option(help="The action that counts as buying.")] = "buy",
    window_h: Annotated[
        float, typer.Option(min=0.01, help="Hours of one basket; 24 are a day in UTC.")
    ] = 24.0,
    min_count: Annotated[
        int, typer.Option(min=1, help="Leave out pairs in fewer baskets than this.")
    ] = 5,
    items: TitlesFile = None,
    as_json: Json = False,
) -> None:
    """Show what the same users buy on the same day, the least likely by chance first."""
    from importlib.util import find_spec

    from model.data.titles import read_titles
    from model.errors import ModelError, how_to_install
    from model.understanding.together import By

    if by not in get_args(By):
        raise typer.BadParameter(f"--by {by}: expected one of {', '.join(get_args(By))}")
    if find_spec("polars") is None:
        raise ModelError(f"polars is not installed; {how_to_install()}")
    titles = read_titles(items)
    found = _count(events, by, item, top, action, window_h, min_count)
    if found.left_out:
        say(f"note: {found.left_out:,} baskets are too large for a shopper and were left out")
    if as_json:
        pairs = [
            pair._asdict()
            | {"first_title": titles.get(pair.first), "second_title": titles.get(pair.second)}
            for pair in found.pairs
        ]
        typer.echo(json.dumps({"baskets": found.baskets, "pairs": pairs}))
    else:
        typer.echo(page(found, min_count, titles))


def page(found: "Together", min_count: int, titles: Mapping[str, str]) -> str:
    """The pairs as text, under the titles where there are any."""
    from model.data.titles import short_title

    def named(item: str) -> str:
        return f"{item} {short_title(titles, item)}" if item in titles else item

    if not found.pairs:
        return f"no pair is in at least {min_count:,} of {found.baskets:,} baskets"
    rows = [["", "goes with", "baskets", "support", "confidence", "lift", "evidence"]]
    rows += [
        [
            named(pair.first),
            named(pair.second),
            f"{pair.baskets:,}",
            f"{100 * pair.support:.2f} %",
            f"{100 * pair.confidence:.1f} %",
            f"{pair.lift:.1f}",
            f"{pair.evidence:,.1f}",
        ]
        for pair in found.pairs
    ]
    return f"{found.baskets:,} baskets\n\n{columns(rows, texts=2)}"


def _count(
    events: list[Path],
    by: str,
    item: str | None,
    top: int,
    action: str,
    window_h: float,
    min_count: int,
) -> "Together":
    from model.data.log import EventLog
    from model.understanding.together import together

    return together(
        EventLog.open(events).frame,
        by=by,  # type: ignore[arg-type]
        action=action,
        window_h=window_h,
        at_least=min_count,
        only=item,
        top=top,
    )
