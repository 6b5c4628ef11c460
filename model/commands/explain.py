"""The command ``explain``: which of a user's actions contribute to the score of an item."""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from model.commands.common import FolderOption, Json, TitlesFile, columns

if TYPE_CHECKING:
    from model.sequence import Sequence
    from model.understanding.explain import Explanation


class ReadSequence(Protocol):
    """Reads a user's sequence; implemented by the stream, which knows events and state."""

    def __call__(self, source: str, state_dir: Path | None, *, is_user: bool = False) -> "Sequence":
        """The sequence of a file of events, or of a user in a worker's state directory.

        If the source is a user and there is no directory, it is read from the changelog.
        """
        ...


def explain_command(read: ReadSequence) -> Callable[..., None]:
    """The command ``explain``, which reads the sequence with ``read``."""

    def explain(
        words: Annotated[
            list[str],
            typer.Argument(
                metavar="[FILE] ITEM",
                help="One user's events, unless --user names one, and the item's id.",
            ),
        ],
        artifact: FolderOption,
        user: Annotated[
            str | None,
            typer.Option(
                metavar="ID",
                help="A user's id, instead of FILE: read from --state-dir or LATELY_STATE_DIR, "
                "else from the changelog of LATELY_GROUP at LATELY_BOOTSTRAP.",
            ),
        ] = None,
        state_dir: Annotated[
            Path | None,
            typer.Option(metavar="DIR", help="A worker's state directory; FILE is then a user."),
        ] = None,
        items: TitlesFile = None,
        as_json: Json = False,
    ) -> None:
        """Show what each past action contributes to the score of an item, by leaving it out."""
        from model.artifact.artifact import Artifact
        from model.data.titles import read_titles
        from model.serving.onnx import OnnxScorer
        from model.understanding.explain import explain

        source, item = _source_and_item(words, user)
        titles = read_titles(items)
        sequence = read(source, state_dir) if user is None else read(user, state_dir, is_user=True)
        found = explain(OnnxScorer(Artifact.open(artifact)), sequence, item)
        if not as_json:
            typer.echo(page(found, titles))
            return
        fields = found.to_json() | {"title": titles.get(item)}
        for action in fields["actions"]:
            action["title"] = titles.get(action["item_id"])
        typer.echo(json.dumps(fields))

    return explain


def _source_and_item(words: list[str], user: str | None) -> tuple[str, str]:
    """The file, or a user's id, and the item."""
    given = words if user is None else [user, *words]
    if len(given) != 2:
        raise typer.BadParameter(
            f"{' '.join(words)}: expected FILE ITEM, or --user ID and ITEM alone"
        )
    return given[0], given[1]


def page(found: "Explanation", titles: Mapping[str, str]) -> str:
    """An explanation as text: the model's prediction, then each action, the newest first."""
    from model.data.titles import short_title
    from model.printable import printable

    intents = ", ".join(f"{name} {100 * p:.2f} %" for name, p in found.intent.items())
    title = f" {short_title(titles, found.item_id)}" if found.item_id in titles else ""
    item = printable(found.item_id)
    first = (
        f"{item}{title}: {100 * found.probability:.2f} %, rank {found.rank:,} of "
        f"{found.items:,} ({found.quality}); {intents}"
    )
    more = ["title"] if titles else []
    rows = [["time (UTC)", "action", "item", *more, found.item_id, *found.intent]]
    for action in reversed(found.actions):
        changes = (action.probability, *action.intent.values())
        rows.append(
            [
                datetime.fromtimestamp(action.ts_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                action.action,
                action.item_id,
                *([short_title(titles, action.item_id)] if titles else []),
                *(f"{100 * change:+.2f}" for change in changes),
            ]
        )
    legend = "Percentage points that each action adds, the newest first:"
    return "\n".join([first, legend, "", columns(rows, texts=3 + len(more))])
