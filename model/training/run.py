"""The training run: turns an event log into an artifact."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from model.artifact.artifact import Artifact, ArtifactWriter
from model.data.dataset import SELECTED_UNTIL
from model.data.log import EventLog, Item
from model.training.plan import Plan, Progress
from model.training.time_limit import TimeLimit
from model.training.training_data import TrainingData, read


def run(
    log: EventLog,
    plan: Plan,
    folder: Path,
    *,
    items: Mapping[str, Item] | None = None,
    overwrite: bool = False,
    by: str = "lately train",
    threads: int | None = None,
    limit: TimeLimit | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Artifact:
    """Train a network on the log and write the artifact.

    1. Hold out the newest events.
    2. Train; early stopping and the choice of weights use the held-out events.
    3. Calibrate the intents on the held-out events.
    4. Export the graph, and write the figures of the held-out events beside it.

    ``by`` names the command in the manifest; ``threads`` are those of torch, None for its own
    choice. ``limit`` is that of the plan's minutes, begun before the log was opened; by default it
    begins now.
    Raises ``DataError`` for a log that cannot be trained on, ``ArtifactError`` for a folder that
    cannot be written; both before the first step of training.
    """
    limit = limit or TimeLimit.of(plan.recipe.minutes)
    with ArtifactWriter(folder, overwrite=overwrite) as writer:
        data = read(log, plan, items or {})
        described = _times(data) | ({} if plan.privacy else _data(log, data))
        from model.training.make import make  # not before: torch takes long to import

        return make(
            data,
            plan,
            writer,
            described=described,
            by=by,
            threads=threads,
            limit=limit,
            report=report,
        )


def _data(log: EventLog, data: TrainingData) -> dict[str, Any]:
    return {
        "fingerprint": log.fingerprint,
        "rows": log.rows,
        "duplicates": log.duplicates,
        "forgotten": log.forgotten,
        "events": len(data.whole.items),
        "users": len(data.whole.offsets) - 1,
    }


def _times(data: TrainingData) -> dict[str, Any]:
    return {"from_ms": int(data.whole.times_ms.min()), SELECTED_UNTIL: data.held_out.end_ms}
