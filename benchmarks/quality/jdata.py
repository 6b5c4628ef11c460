"""The jdata benchmark: next item and buy within the visit, with types and gaps on and off."""

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from model.artifact.artifact import METRICS, Artifact
from model.config import ArtifactConfig
from model.data.log import EventLog, Item
from model.errors import DataError
from model.evaluation.curves import learning_epochs, reliability
from model.evaluation.report import table
from model.evaluation.run import examine, run
from model.formats.jdata import OTHERS, to_event
from model.serving.onnx import OnnxScorer
from model.training.plan import Plan, Recipe
from model.training.run import run as train

PROTOCOL = "events of the test visits, all items ranked, nothing masked; buy later in the visit"
HORIZON_S = 12 * 3_600  # no visit lasts longer
CONFIG = ArtifactConfig(actions=("click", "buy"), intents=("buy",), horizon_s=HORIZON_S)
END = "end"  # a user whose one event marks that all visits before it are over
BLIND = "without types and gaps"


class Logs(NamedTuple):
    """The two files as event logs, with each visit as a user, and the items."""

    train: Path
    test: Path
    items: dict[str, Item]


def report(
    folder: Path, network: str, minutes: float | None, seeds: Sequence[int]
) -> dict[str, Any]:
    """Train with and without types and gaps, and compare both with the baselines."""
    with TemporaryDirectory() as scratch:
        logs = read_folder(folder, Path(scratch))
        runs = {
            name: [
                _train_and_evaluate(logs, Path(scratch), network, minutes, seed, reads)
                for seed in seeds
            ]
            for name, reads in (("whole", ("actions", "gaps")), (BLIND, ()))
        }
    first = runs["whole"][0]
    baselines = {
        name: _figures(cells)
        for name, cells in first["items"]["all"].items()
        if name != CONFIG.name
    }
    return {
        "path": str(folder),
        "protocol": PROTOCOL,
        "network": network,
        "questions": first["items"]["all"][CONFIG.name]["n"],
        "model": _median(runs["whole"]),
        "baselines": baselines | {f"Lately {BLIND}": _median(runs[BLIND])},
        "buy": {name: [_buy(found) for found in part] for name, part in runs.items()},
        "train_s": median(found["train_s"] for found in runs["whole"]),
        "seeds": list(seeds),
        "runs": [_model(found) for found in runs["whole"]],
        "learning": [found["learning"] for found in runs["whole"]],
    }


def _train_and_evaluate(
    logs: Logs,
    scratch: Path,
    network: str,
    minutes: float | None,
    seed: int,
    reads: tuple[str, ...],
) -> dict[str, Any]:
    plan = Plan(
        ArtifactConfig(
            network=network, actions=CONFIG.actions, intents=CONFIG.intents, horizon_s=HORIZON_S
        ),
        Recipe(minutes=minutes, seed=seed),
        reads=reads,
    )
    log = EventLog.open([logs.train])
    artifact = train(log, plan, scratch / "artifact", items=logs.items, overwrite=True)
    learning = learning_epochs(artifact.read_object(METRICS))
    seconds = artifact.manifest.made["seconds"]
    return _evaluate(artifact, logs) | {"train_s": seconds, "learning": learning}


def _evaluate(artifact: Artifact, logs: Logs) -> dict[str, Any]:
    frame = EventLog.open([logs.train, logs.test]).frame
    exam = examine(artifact, frame, print)
    judged = run(artifact, OnnxScorer(artifact), exam, lambda _: None, print)
    print(table(judged.evaluation), flush=True)
    chances = judged.answers[CONFIG.name].chances
    assert chances is not None, "the model has intents"
    bins = reliability(exam.questions.intents[:, 0], chances[:, 0])
    bins_json = {"said": bins.predicted.tolist(), "came": bins.observed.tolist()}
    return judged.evaluation.to_json() | {"reliability": bins_json}


def _median(runs: Sequence[dict[str, Any]]) -> dict[str, float]:
    found = [_model(one) for one in runs]
    return {name: median(figures[name] for figures in found) for name in found[0]}


def _model(found: dict[str, Any]) -> dict[str, float]:
    return _figures(found["items"]["all"][CONFIG.name])


def _figures(cells: dict[str, float]) -> dict[str, float]:
    return {"P@20": 100 * cells["recall@20"], "MRR@20": 100 * cells["mrr@20"]}


def _buy(found: dict[str, Any]) -> dict[str, Any]:
    figures = found["intents"]["buy"][CONFIG.name]
    intervals = found["intent_intervals"]["buy"][CONFIG.name]
    return {
        "auc": figures["auc"],
        "ece": figures["ece"],
        "intervals": intervals,
        "reliability": found["reliability"],
    }


def read_folder(folder: Path, scratch: Path) -> Logs:
    """Write the two files as logs into ``scratch`` and read the items."""
    items = {}
    for row in _rows(folder / "items.tsv", "\t"):
        own = tuple(f"{name}={row[name]}" for name in ("brand", "shop") if row[name])
        items[row["sku_id"]] = Item(row["sku_id"], row["cate"], None, own)
    train_log, test_log = scratch / "train.jsonl", scratch / "test.jsonl"
    _write(folder / "train.csv", train_log, later_ms=0)
    # The two overlap by an hour, but only gaps within a visit count.
    _write(folder / "test_with_new_items.csv", test_log, later_ms=2 * HORIZON_S * 1000)
    return Logs(train_log, test_log, items)


def _write(source: Path, log: Path, later_ms: int) -> None:
    events = []
    for row in _rows(source, ","):
        if row["type"] not in OTHERS:
            event = to_event(row)
            moved = {"user_id": row["sessionId"], "ts": int(event["ts"]) + later_ms}
            events.append(event | moved | {"session_id": None})
    last = max(events, key=lambda event: event["ts"])
    events.append(last | {"user_id": END, "ts": last["ts"] + HORIZON_S * 1000 + 1})
    log.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


def _rows(path: Path, delimiter: str) -> Iterator[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file, delimiter=delimiter)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); see --help") from None
