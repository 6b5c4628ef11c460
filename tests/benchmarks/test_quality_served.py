"""The benchmark evaluates the trained network: the scorer's ranks equal those of validation."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.quality import jdata
from benchmarks.quality.asking import CUTOFF, ask_scorer
from benchmarks.quality.folder import CONFIG, Question, Task, read_s3rec, read_sessions
from model.artifact.artifact import GRAPH, Artifact, ArtifactWriter
from model.artifact.network import load_network
from model.config import ArtifactConfig
from model.data.dataset import NO_NEXT, Histories, Labels
from model.data.log import EventLog
from model.networks.sequence import SequenceModel
from model.serving.onnx import OnnxScorer
from model.serving.torch import TorchScorer
from model.synthetic.demo_artifact import FOLDER
from model.training import make as making
from model.training.plan import Plan, Recipe
from model.training.sequence.validation import predict
from model.training.training_data import read
from model.training.windows import Batches
from tests.model.copied_graph import copy_instead_of_export

pytestmark = pytest.mark.timeout(400)  # libraries to load and models to export, one core shared

ITEMS, VISITS = 40, 300
RECIPE = Recipe(epochs=1, seed=3)
NOON_S = 1_500_000_000


def visits() -> list[list[str]]:
    """Visits of 3 to 12 items, often followed by the next item or an earlier one."""
    draw = np.random.default_rng(11)
    made = []
    for _ in range(VISITS):
        items = [int(draw.integers(ITEMS))]
        for _ in range(int(draw.integers(2, 12))):
            step = draw.choice([1, 2, -1, int(draw.integers(ITEMS))])
            items.append((items[-1] + int(step)) % ITEMS)
        made.append([str(item + 1) for item in items])
    return made


def sequences(folder: Path) -> tuple[Task, ArtifactConfig]:
    lines = [f"{user} {' '.join(items)}\n" for user, items in enumerate(visits(), start=1)]
    (folder / "sequences.txt").write_text("".join(lines))
    values = {str(item): [item % 7, 10 + item % 3] for item in range(1, ITEMS + 1)}
    (folder / "item2attributes.json").write_text(json.dumps(values))
    return read_s3rec(folder), CONFIG


def prefixes(folder: Path) -> tuple[Task, ArtifactConfig]:
    *train, first, second = visits()
    (folder / "train_sessions.txt").write_text("".join(" ".join(v) + "\n" for v in train))
    pairs = [(v[:end], v[end]) for v in (first, second) for end in range(1, len(v))]
    lines = [f"{' '.join(known)}\t{target}\n" for known, target in pairs]
    (folder / "test_prefixes.txt").write_text("".join(lines))
    return read_sessions(folder), CONFIG


def actions(folder: Path) -> tuple[Task, ArtifactConfig]:
    """The log of a shop: clicks and orders with times, each visit as a user."""
    rows, names = [], ("user_id", "sku_id", "action_time", "type", "sessionId")
    for number, items in enumerate(visits()):
        for place, item in enumerate(items):
            clock = np.datetime64(NOON_S + 60 * (number + 7 * place), "s").item()
            kind = "2" if place % 5 == 4 else "1"
            rows.append((number, item, clock.isoformat(" "), kind, f"v{number}"))
    for name, part in (("train.csv", rows), ("test_with_new_items.csv", rows[-40:])):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([names, *part])
    with (folder / "items.tsv").open("w", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(("sku_id", "cate", "brand", "shop"))
        table.writerows((item, item % 4, item % 9, "") for item in range(1, ITEMS + 1))
    logs = jdata.read_folder(folder, folder)
    log = EventLog.open([logs.train])
    data = read(log, Plan(jdata.CONFIG, RECIPE), logs.items)
    questions = [Question(items[:-1], items[-1]) for items in visits()[-30:]]
    return Task(jdata.PROTOCOL, data, questions, exclude_seen=False), jdata.CONFIG


@pytest.mark.parametrize(
    ("form", "engine"),
    [(sequences, OnnxScorer), (prefixes, TorchScorer), (actions, TorchScorer)],
)
def test_the_scorers_ranks_equal_those_of_validation(
    form: Callable[[Path], tuple[Task, ArtifactConfig]],
    engine: type[OnnxScorer | TorchScorer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Once by ONNX, as in the benchmark; torch agrees with it, and is served without an export."""
    if engine is TorchScorer:
        copy_instead_of_export(monkeypatch, making, FOLDER / GRAPH)
    task, config = form(tmp_path)
    plan = Plan(replace(config, top_items=ITEMS), RECIPE, width=8, refit=False)
    with ArtifactWriter(tmp_path / "artifact") as writer:
        artifact = making.make(task.data, plan, writer, described={}, by="test")
    served = ask_scorer(engine(artifact), task, plan.config.max_length, lambda _: None)

    network = load_network(artifact)
    assert isinstance(network, SequenceModel)
    judged = predict(network, asked(task, artifact), most=1 << 30, seed=0).ranks
    within = np.where(judged > CUTOFF, 0, judged)  # the scorer's list ends there
    assert np.count_nonzero(within) > len(within) / 3
    # The validation batches are in another order than the questions.
    assert sorted(served.tolist()) == sorted(within.tolist())


def asked(task: Task, artifact: Artifact) -> Batches:
    """The questions in the form of validation: clicks a minute apart, then the target."""
    catalogue = task.data.catalogue
    lengths = np.array([len(question.items) for question in task.questions])
    items = catalogue.codes([item for question in task.questions for item in question.items])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    within = np.arange(len(items)) - np.repeat(offsets[:-1], lengths)
    histories = Histories(
        items.astype(np.int32), np.zeros(len(items), np.int8), within * 60_000, offsets
    )
    next_items = np.full(len(items), NO_NEXT, dtype=np.int32)
    targets = catalogue.codes([question.target for question in task.questions])
    next_items[offsets[1:] - 1] = targets
    no_intents = np.full((len(items), len(artifact.config.intents)), -1, dtype=np.int8)
    return Batches(histories, Labels(next_items, no_intents), artifact.config)
