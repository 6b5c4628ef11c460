"""The cold start benchmark: items absent from training, added by titles and attributes alone.

``python -m benchmarks.cold_start`` uses the synthetic shop, and with ``--jdata DIR`` that set
too. It measures the rank of a new item that came next, among all items and among the new ones.
Popularity has no counts for the new items: none is ever among its first 20, and among the new
items alone it is a random guess.
"""

import csv
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import numpy as np
import torch
import typer

from model.config import ArtifactConfig
from model.data.log import EventLog, Item, read_items
from model.errors import ModelError
from model.evaluation.metrics import recall_at
from model.formats import jdata
from model.formats.table import RowError
from model.packaging.extend import extend
from model.sequence import Sequence
from model.serving.engine import ArtifactScorer
from model.serving.onnx import OnnxScorer
from model.synthetic.shop import Shop
from model.training.plan import Plan, Recipe
from model.training.run import run

K = 20
START_MS = 1_790_000_000_000
NEW_EVERY = 10  # every tenth item of the synthetic shop is new
ASKED_AFTER = 0.8  # share of the synthetic shop's events before the first question
Event = dict[str, Any]


class Case(NamedTuple):
    """One data set: the training events, the test events and the item list."""

    learnt: list[Event]
    asked: list[Event]  # in order of user and time
    items: dict[str, Item]


def synthetic_shop(n_events: int) -> Case:
    """The synthetic shop; only titles describe its new items."""
    shop = Shop(3)
    events = list(itertools.islice(shop.events(n_events // 50, START_MS), n_events))
    new = {item.item_id for item in shop.items[::NEW_EVERY]}
    cut = round(ASKED_AFTER * n_events)
    learnt = [event for event in events[:cut] if event["item_id"] not in new]
    items = {item.item_id: Item(item.item_id, None, item.title) for item in shop.items}
    return Case(learnt, _by_user(events[cut:]), items)


def real_shop(folder: Path, scratch: Path) -> Case:
    """JData; category, brand and shop describe its items, which have no titles."""
    with (folder / "items.tsv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    path = scratch / "items.jsonl"
    names = {"sku_id": "item_id", "cate": "category", "brand": "brand", "shop": "shop"}
    path.write_text(
        "".join(json.dumps({to: row[name] for name, to in names.items()}) + "\n" for row in rows)
    )
    learnt, asked = (list(_jdata(folder / f"{n}.csv")) for n in ("train", "test_with_new_items"))
    return Case(learnt, _by_user(asked), read_items(path))


def _jdata(path: Path) -> Iterator[Event]:
    with path.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                yield jdata.to_event(row)
            except RowError:
                continue  # neither click, cart nor buy


def _by_user(events: list[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (event["user_id"], event["ts"]))


def measure(case: Case, plan: Plan, scratch: Path) -> dict[str, Any]:
    """Train without the new items, add them, and measure how well they are found."""
    path = scratch / "log.jsonl"
    path.write_text("".join(json.dumps(event) + "\n" for event in case.learnt), encoding="utf-8")
    seen = {event["item_id"] for event in case.learnt}
    known = {name: item for name, item in case.items.items() if name in seen}
    older = run(EventLog.open([path]), plan, scratch / "older", items=known)
    artifact = extend(older, list(case.items.values()), scratch / "newer")
    questions = list(_questions(case.asked))
    new = np.array([name not in seen for name in artifact.read_catalogue().items])
    before, after = (_ranks(OnnxScorer(a), questions, new) for a in (older, artifact))
    cold, warm = after.target_is_new, ~after.target_is_new
    return {
        "new_items": int(new.sum()),
        "questions": {"new": int(cold.sum()), "known": int(warm.sum())},
        "recall@20 of new items": recall_at(after.all[cold], K),
        "recall@20 of new items among themselves": recall_at(after.among_new[cold], K),
        "recall@20 of a guess among themselves": K / int(new.sum()),
        "recall@20 of new items by popularity": 0.0,
        "recall@20 of known items": recall_at(after.all[warm], K),
        "recall@20 of known items before": recall_at(before.all[~before.target_is_new], K),
    }


def _questions(events: list[Event]) -> Iterator[tuple[Sequence, str]]:
    for _, group in itertools.groupby(events, key=lambda event: event["user_id"]):
        own = list(group)
        for position in range(1, len(own)):
            past = own[max(0, position - 50) : position]
            items, actions, times = (
                tuple(event[name] for event in past) for name in ("item_id", "action", "ts")
            )
            yield Sequence(items, actions, times, times[-1]), own[position]["item_id"]


class Ranks(NamedTuple):
    """The ranks, from 1, of the targets that are in the catalogue."""

    all: np.ndarray
    among_new: np.ndarray  # among the new items, for targets that are new
    target_is_new: np.ndarray


def _ranks(scorer: ArtifactScorer, questions: list[tuple[Sequence, str]], new: np.ndarray) -> Ranks:
    index = scorer.catalogue.index
    asked = [(sequence, index[target]) for sequence, target in questions if target in index]
    new = new[: len(index)]
    found = []
    for start in range(0, len(asked), 256):
        part = asked[start : start + 256]
        probabilities = scorer.probabilities([sequence for sequence, _ in part])
        for row, (_, target) in zip(probabilities, part, strict=True):
            better = row > row[target]
            found.append((1 + better.sum(), 1 + better[new].sum(), new[target]))
    whole, among_new, is_new = zip(*found, strict=True)
    return Ranks(np.array(whole), np.array(among_new), np.array(is_new, dtype=bool))


def main(
    real: Annotated[Path | None, typer.Option("--jdata", help="The folder of jdata.")] = None,
    events: Annotated[int, typer.Option(help="Events of the synthetic shop.")] = 30_000,
    epochs: Annotated[int, typer.Option(help="Passes over the log, at most.")] = 10,
    dim: Annotated[int, typer.Option(help="Width of the vectors.")] = 64,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the report here.")] = None,
) -> None:
    """Measure how well new items are found before they have any events."""
    torch.set_num_threads(1)
    plan = Plan(ArtifactConfig(), Recipe(epochs=epochs), width=dim)
    report = {}
    with TemporaryDirectory() as folder:
        scratch = Path(folder)
        cases: dict[str, Callable[[], Case]] = {"made shop, titles": lambda: synthetic_shop(events)}
        if real:
            cases["jdata, category, brand and shop"] = lambda: real_shop(real, scratch)
        for name, case in cases.items():
            (scratch / name).mkdir()
            report[name] = measure(case(), plan, scratch / name)
            typer.echo(f"{name}: {json.dumps(report[name], indent=2)}")
    if json_file:
        json_file.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        typer.run(main)
    except ModelError as error:
        sys.exit(str(error))
