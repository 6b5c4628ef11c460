"""Every network, from a log to scores on a real Kafka: one command to train, one to evaluate."""

import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from model.artifact.artifact import Artifact
from model.serving import load_scorer
from model.synthetic.shop import Shop
from model.training.registry import TRAININGS
from tests.kafka.artifact import items_of
from tests.kafka.broker import ROOT
from tests.kafka.conftest import OpenStage
from tests.kafka.load import START_MS
from tests.kafka.message import Message
from tests.kafka.shell import Shell
from tests.kafka.stage import PARTITIONS
from tests.model.tiny_bert import WORDS, write_tiny_bert
from tests.oracle.answers import Answers
from tests.oracle.hashing import partition_of
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

Event = dict[str, Any]

N_PAST, N_NEW = 1_500, 400  # events
SHOPPERS = 60
ITEMS, CATEGORIES = 60, 6
HORIZON_S = 120
COLOURS, NOUNS = WORDS[:3], WORDS[5:10]  # what the tiny BERT can read
STRANGER = "stranger"  # who looks at nothing that the catalogue has
NEVER_SEEN = "never seen"
# A probability has six significant digits, each off by half a unit in the last place at most: up
# to 5e-7 for one above 0.1. All add up to 1 at most, and so the errors to a few times that.
ROUNDING = 1e-5

TRAIN = (
    "lately train past.jsonl --network {network} --out {out} --items items.jsonl "
    f"--encoder bert --epochs 1 --dim 16 --horizon-s {HORIZON_S} --seed 1 --no-refit"
)
EVALUATE = "lately evaluate {out} past.jsonl --json figures.json"


class Trained(NamedTuple):
    """An artifact, the figures its evaluation gave, and what is to happen next in the shop."""

    network: str
    artifact: Path
    figures: dict[str, Any]
    events: list[Event]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a log, its items, a tiny text encoder, and the events that come next."""
    folder = tmp_path_factory.mktemp("networks")
    made = Shop(seed=4, n_items=ITEMS, n_categories=CATEGORIES)
    stream = made.events(SHOPPERS, START_MS, events_per_s=1.0)
    past, new = (list(itertools.islice(stream, count)) for count in (N_PAST, N_NEW))
    unknown = {"user_id": STRANGER, "item_id": NEVER_SEEN, "action": "click", "ts": START_MS}
    titles = [f"{COLOURS[n % 3]} {NOUNS[n // 3 % 5]}" for n in range(ITEMS)]
    items = [
        {"item_id": item.item_id, "category": item.category, "title": title}
        for item, title in zip(made.items, titles, strict=True)
    ]
    for name, rows in ("past", past), ("new", [*new, unknown]), ("items", items):
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    write_tiny_bert(folder / "bert")
    return folder


@pytest.fixture(scope="module", params=TRAININGS)
def trained(shop: Path, request: pytest.FixtureRequest) -> Iterator[Trained]:
    """What the two commands make of the log."""
    shell = Shell(shop, {}, OMP_NUM_THREADS="1")
    for command in TRAIN, EVALUATE:
        shell.do(command.format(network=request.param, out=f"{request.param}-model"))
    yield Trained(
        request.param,
        shop / f"{request.param}-model",
        json.loads((shop / "figures.json").read_text(encoding="utf-8")),
        [json.loads(line) for line in (shop / "new.jsonl").read_text().splitlines()],
    )
    shell.close()


@pytest.fixture(scope="module")
def artifact(trained: Trained) -> Path:
    """The model of the stages that are opened here."""
    return trained.artifact


def messages(events: list[Event]) -> list[Message]:
    return [
        Message(
            partition_of(event["user_id"].encode(), PARTITIONS),
            event["ts"],
            event["user_id"].encode(),
            json.dumps(event).encode(),
        )
        for event in events
    ]


def test_two_commands_and_a_worker_give_every_user_a_score(
    trained: Trained, open_stage: OpenStage
) -> None:
    sealed = Artifact.open(trained.artifact)
    assert sealed.config.network == trained.network
    assert trained.figures["artifact"] == sealed.version
    assert trained.figures["items"]["all"]["lately"]["n"] > 0

    stage = open_stage()
    worker = stage.start().wait_ready()
    stage.feed(messages(trained.events))
    stage.wait_quiet()
    worker.stop()

    evidence = stage.evidence()
    assert evidence.dead == []
    # Each user's last score is of the last event, and is what the scorer says by itself.
    differences = examine(evidence, Answers(load_scorer(trained.artifact)))
    assert not differences, report(differences)
    last = {record.key: json.loads(record.value or b"null") for record in evidence.scores}
    assert last.keys() == {event["user_id"].encode() for event in trained.events}
    assert {json.dumps(score["model"]) for score in last.values()} == {
        json.dumps({"name": "lately", "version": sealed.version})
    }
    check = Check(items_of(trained.artifact), sealed.config.intents, trained.network)
    for score in last.values():
        check.score(score)
    # What is asked for is not the same for all: the worker listens to the events.
    assert len({json.dumps(score["items"]) for score in last.values()}) > len(last) / 2


class Check:
    """What holds for every score of an artifact."""

    def __init__(self, items: list[str], intents: tuple[str, ...], network: str) -> None:
        self._items, self._intents, self._network = set(items), set(intents), network
        self._schema = jsonschema.Draft202012Validator(
            json.loads((ROOT / "stream" / "schemas" / "score.schema.json").read_text())
        )

    def score(self, score: Event) -> None:
        """It fits the schema, and says nothing impossible."""
        self._schema.validate(score)
        stranger = score["user_id"] == STRANGER
        assert score["quality"] == "full"
        listed = [item["item_id"] for item in score["items"]]
        assert listed
        # Who looked at an item that the model has never seen is shown it again.
        assert set(listed) - self._items == ({NEVER_SEEN} if stranger else set())
        assert len(set(listed)) == len(listed)
        _distribution([item["score"] for item in score["items"]])
        _distribution([category["score"] for category in score["categories"]])
        intent = dict(score["intent"])
        assert intent.pop("horizon_s") == HORIZON_S
        assert intent.keys() == self._intents
        _chances(list(intent.values()))
        assert ("visit" in score) == (self._network == "path")
        if "visit" in score:
            self._visit(score["visit"])

    def _visit(self, visit: Event) -> None:
        assert list(visit["stages"]) == ["browsing", "comparing", "deciding", "leaving"]
        assert sum(visit["stages"].values()) == pytest.approx(1, abs=ROUNDING)
        assert visit["next"]
        _distribution(list(visit["next"].values()))
        _chances([visit["ends"], visit["unusual"]])


def _chances(said: list[float]) -> None:
    assert said
    assert all(0 <= chance <= 1 for chance in said)


def _distribution(said: list[float]) -> None:
    _chances(said)
    assert sum(said) <= 1 + ROUNDING
