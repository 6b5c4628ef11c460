"""The command ``explain``: which of a user's actions contribute to the score of an item."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from model.commands.common import FolderOption, Json, columns

if TYPE_CHECKING:
    from model.sequence import Sequence
    from model.understanding.explain import Explanation


class ReadSequence(Protocol):
    """Reads a user's sequence; implemented by the stream, which knows events and state."""

    def __call__(self, source: str, state_dir: Path | None) -> "Sequence":
        """The sequence of a file of events, or of a user in a worker's state directory."""
        ...


def explain_command(read: ReadSequence) -> Callable[..., None]:
    """The command ``explain``, which reads the sequence with ``read``."""

    def explain(
        source: Annotated[
            str, typer.Argument(metavar="USER_OR_FILE", help="One user's events, or a user's id.")
        ],
        item: Annotated[str, typer.Argument(metavar="ITEM", help="The item's id.")],
        artifact: FolderOption,
        state_dir: Annotated[
            Path | None,
            typer.Option(help="A worker's state directory: then USER_OR_FILE is a user's id."),
        ] = None,
        as_json: Json = False,
    ) -> None:
        """Show what each past action contributes to the score of an item, by leaving it out."""
        from model.artifact.artifact import Artifact
        from model.serving.onnx import OnnxScorer
        from model.understanding.explain import explain

        found = explain(OnnxScorer(Artifact.open(artifact)), read(source, state_dir), item)
        typer.echo(json.dumps(found.to_json()) if as_json else page(found))

    return explain


def page(found: "Explanation") -> str:
    """An explanation as text: the model's prediction, then each action, the newest first."""
    intents = ", ".join(f"{name} {100 * p:.2f} %" for name, p in found.intent.items())
    first = (
        f"{found.item_id}: {100 * found.probability:.2f} %, rank {found.rank:,} of "
        f"{found.items:,} ({found.quality}); {intents}"
    )
    rows = [["time (UTC)", "action", "item", found.item_id, *found.intent]]
    for action in reversed(found.actions):
        changes = (action.probability, *action.intent.values())
        rows.append(
            [
                datetime.fromtimestamp(action.ts_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S"),
                action.action,
                action.item_id,
                *(f"{100 * change:+.2f}" for change in changes),
            ]
        )
    legend = "Percentage points that each action adds, the newest first:"
    return "\n".join([first, legend, "", columns(rows, texts=3)])
