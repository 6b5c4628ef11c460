"""Live quality on jdata: scores each event of the newest 30 %, judged by the user's next event.

``python -m benchmarks.quality.live DIR [--seed N | --artifact ARTIFACT]``. The log goes through
the worker's own fold and scorer, without a broker: every event is scored, and a score is judged by
the next event of its user. A user's first event has no score before it, so it is in no rate. The
rules of comparison learn from the same events as they come: popularity, and newest first, which
lists the user's own items.
"""

import csv
import json
import sys
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple, Protocol

import torch
import typer

from model.artifact.artifact import Artifact
from model.config import ArtifactConfig
from model.data.log import EventLog
from model.errors import DataError, ModelError
from model.formats.jdata import OTHERS, to_event
from model.scorer import Score
from model.sequence import Sequence as History
from model.serving.onnx import OnnxScorer
from model.training.plan import Plan, Recipe
from model.training.run import run as train
from stream.events import Event
from stream.settings import WorkerSettings
from stream.user_state import UserState

FILES = ("train.csv", "test_with_new_items.csv")
CONFIG = ArtifactConfig(actions=("click", "buy"), intents=("buy",))
TRAINED = 0.7  # the oldest share of the events
LISTED = 20
AT_ONCE = 512
CUTS = (1, 5, 20)
RULES = ("newest first", "popularity")

Row = dict[str, str | int | None]


class Scores(Protocol):
    """The part of a scorer that is judged."""

    def score(self, sequences: Sequence[History], /) -> Sequence[Score]:
        """See ``model.scorer.Scorer.score``."""
        ...


class Judged(NamedTuple):
    """An event with a score before it: the sequence scored, and the item that came next."""

    before: History
    item: str
    popular: list[str]  # the most frequent items of the log so far, most frequent first


@dataclass
class Line:
    """A row as the record that the event came in; nothing is read from it here."""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None = b""
    headers: Sequence[tuple[str, bytes | None]] = ()


class Tally:
    """Counts hits and sums reciprocal ranks of lists of items."""

    def __init__(self) -> None:
        self.judged = 0
        self.hits = dict.fromkeys(CUTS, 0)
        self.reciprocal = 0.0

    def add(self, listed: Sequence[str], item: str) -> None:
        """Judge one list by the item that came next."""
        self.judged += 1
        if item not in listed[:LISTED]:
            return
        rank = listed.index(item) + 1
        self.reciprocal += 1 / rank
        for cut in CUTS:
            self.hits[cut] += rank <= cut

    def figures(self) -> dict[str, float]:
        """The rates of the events judged."""
        size = max(1, self.judged)
        rates = {f"hit@{cut}": hits / size for cut, hits in self.hits.items()}
        return {"n": self.judged} | rates | {"mrr@20": self.reciprocal / size}


def main(
    path: Annotated[Path, typer.Argument(help="The folder of jdata.")],
    artifact: Annotated[Path | None, typer.Option(help="Judge this one; train none.")] = None,
    minutes: Annotated[float, typer.Option(help="Limit of the training.")] = 3.0,
    seed: Annotated[int, typer.Option(help="Of the training.")] = 0,
    threads: Annotated[int, typer.Option(help="Processor threads.")] = 1,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write the figures here.")
    ] = None,
) -> None:
    """Train on the oldest 70 % of jdata, and judge the scores of the rest event by event."""
    torch.set_num_threads(threads)
    events = read(path)
    cut = round(len(events) * TRAINED)
    with TemporaryDirectory() as scratch:
        recipe = Recipe(minutes=minutes, seed=seed)
        found = Artifact.open(artifact) if artifact else _train(events[:cut], Path(scratch), recipe)
        scorer = OnnxScorer(found)
        figures = judge(scorer, scorer.catalogue.index, list(walk(events[cut:])))
    typer.echo(table(figures))
    if json_file:
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


def read(folder: Path) -> list[Row]:
    """The clicks and orders of both files in the order of their times."""
    rows = []
    for name in FILES:
        try:
            with (folder / name).open(encoding="utf-8", newline="") as file:
                rows += [to_event(row) for row in csv.DictReader(file) if row["type"] not in OTHERS]
        except OSError as error:
            raise DataError(f"{folder / name}: cannot be read ({error.strerror})") from None
    return sorted(rows, key=lambda row: row["ts"])


def walk(rows: Sequence[Row]) -> Iterator[Judged]:
    """Fold the rows as one partition; yields each event that a score stood before."""
    rules = WorkerSettings(state_dir=Path(), artifact=Path()).rules
    states: dict[str, UserState] = {}
    counts: Counter[str] = Counter()
    popular: list[str] = []
    for offset, row in enumerate(rows):
        user, item, ts_ms = str(row["user_id"]), str(row["item_id"]), int(row["ts"] or 0)
        state = states.setdefault(user, UserState())
        before = state.sequence() if state.applied_offset >= 0 else None
        key, action = user.encode(), str(row["action"])
        line = Line(offset, ts_ms, key)
        event = Event(key, offset, ts_ms, item, action, ts_ms, None, line)
        if state.apply(event, rules) not in ("applied", "future"):
            continue
        if before is not None:
            yield Judged(before, item, popular)
        counts[item] += 1
        # No other item has gained, so no other can enter the list.
        ranked = sorted({*popular, item}, key=lambda name: (-counts[name], name))
        popular = ranked[:LISTED]


def judge(
    scorer: Scores, known: Container[str], judged: Sequence[Judged]
) -> dict[str, dict[str, float]]:
    """The figures of the scores, in all and by kind, and of the rules.

    ``known`` are the items of the model's catalogue.
    """
    tallies: dict[str, Tally] = {}

    def add(name: str, listed: Sequence[str], item: str) -> None:
        tallies.setdefault(name, Tally()).add(listed, item)

    for start in range(0, len(judged), AT_ONCE):
        part = judged[start : start + AT_ONCE]
        scores = scorer.score([one.before for one in part])
        for one, score in zip(part, scores, strict=True):
            listed = [item for item, _ in score.items]
            kind = "known" if one.item in known else "new"
            when = "again" if one.item in one.before.items else "first time"
            add("all scores", listed, one.item)
            add(f"quality {score.quality}", listed, one.item)
            add(f"next item {kind}, {when}", listed, one.item)
            if not any(item in known for item in one.before.items):
                add("users of unknown items alone", listed, one.item)
            own = list(dict.fromkeys(reversed(one.before.items)))
            add(RULES[0], own, one.item)
            new = any(item not in known for item in one.before.items)
            window = "new items in the window" if new else "known items alone in the window"
            add(window, listed, one.item)
            add(f"{window}, {RULES[0]}", own, one.item)
            add(RULES[1], one.popular, one.item)
    return {name: tallies[name].figures() for name in sorted(tallies)}


def table(figures: dict[str, dict[str, float]]) -> str:
    """The figures as lines of text."""
    names = list(next(iter(figures.values())))
    lines = [f"{'':<48}" + "".join(f"{name:>9}" for name in names)]
    for row, cells in figures.items():
        values = "".join(f"{cells[name]:>9.4f}" for name in names[1:])
        lines.append(f"{row:<48}{cells['n']:>9}{values}")
    return "\n".join(lines)


def _train(rows: Sequence[Row], scratch: Path, recipe: Recipe) -> Artifact:
    log = scratch / "train.jsonl"
    given = ({name: value for name, value in row.items() if value is not None} for row in rows)
    log.write_text("".join(json.dumps(row) + "\n" for row in given), encoding="utf-8")
    return train(EventLog.open([log]), Plan(CONFIG, recipe), scratch / "artifact")


if __name__ == "__main__":
    try:
        typer.run(main)
    except ModelError as error:
        sys.exit(str(error))
