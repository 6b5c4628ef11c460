"""Real data: docs/real-data.md, its commands run as they stand, from a log to its scores."""

import json
import os
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from model.serving import load_scorer
from tests.docs.blocks import blocks
from tests.kafka import made_jdata
from tests.kafka.broker import ROOT, free_port
from tests.kafka.client import Client
from tests.kafka.shell import Shell
from tests.oracle.answers import Answers
from tests.oracle.evidence import Evidence
from tests.oracle.ledger import keep
from tests.oracle.rules import DEFAULT_RULES
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(600)]

DOCUMENT = ROOT / "docs" / "real-data.md"
PARTITIONS = 4
QUIET_S = 120.0


class Walk:
    """A reader's way through the document, with topics of its own."""

    def __init__(self, client: Client, folder: Path, data: Path) -> None:
        name = f"walk-{uuid.uuid4().hex[:6]}"
        self.client, self.folder = client, folder
        self.group = f"lately-{name}"
        self.events, self.scores, self.dead = (f"{name}.{t}" for t in ("events", "scores", "dead"))
        self.receipts = f"{name}.receipts"
        self.changelog = f"{self.group}-state-changelog"
        settings = {
            "bootstrap": client.bootstrap,
            "group": self.group,
            "events_topic": self.events,
            "scores_topic": self.scores,
            "dead_topic": self.dead,
            "receipts_topic": self.receipts,
            "http": f"127.0.0.1:{free_port()}",
        }
        self.shell = Shell(folder, settings, DATA=str(data))
        self.said: dict[str, str] = {}  # what each command printed

    def go(self) -> None:
        """Run every command of it, as patient as the document asks the reader to be."""
        commands = [c for b in blocks(DOCUMENT) if b.language == "sh" for c in b.commands()]
        for command in commands:
            if command.startswith("lately replay"):
                self.shell.wait_ready()
            if command.startswith("curl"):
                self.shell.wait(self._all_committed, QUIET_S, "commit of all events")
            self.said[command] = self.shell.do(command)

    def _all_committed(self) -> bool:
        ends = self.client.ends(self.events)
        committed = self.client.committed(self.group, self.events)
        return all(committed.get(partition, 0) == end for partition, end in ends.items())

    def evidence(self) -> Evidence:
        """What is in Kafka now."""
        return Evidence(
            events_topic=self.events,
            n_partitions=PARTITIONS,
            n_dead_partitions=PARTITIONS,
            n_receipt_partitions=PARTITIONS,
            events=self.client.read(self.events),
            changelog=self.client.read(self.changelog),
            scores=self.client.read(self.scores),
            dead=self.client.read(self.dead),
            receipts=self.client.read(self.receipts),
            committed=self.client.committed(self.group, self.events),
            ends=self.client.ends(self.events),
            group=self.group,
        )

    def metrics(self, name: str) -> dict[str, int]:
        """A counter by its label, as the document's own command printed it."""
        (printed,) = (said for command, said in self.said.items() if command.startswith("curl"))
        found = re.findall(rf'^{name}{{\w+="(\w+)"}} (\S+)$', printed, re.MULTILINE)
        return {label: int(float(value)) for label, value in found}

    def close(self) -> None:
        """End what runs, and remove the topics."""
        self.shell.close()
        ours = {self.events, self.scores, self.dead, self.receipts, self.changelog}
        self.client.delete_topics(*ours & self.client.topics())


@pytest.fixture
def walk(client: Client, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Walk]:
    data: Path = request.getfixturevalue(request.param)
    walk = Walk(client, tmp_path, data)
    yield walk
    walk.close()


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder = tmp_path / "made"
    made_jdata.write(folder)
    return folder


@pytest.fixture
def jdata() -> Path:
    folder = Path(os.environ.get("LATELY_DATA_DIR", "")) / "jdata"
    if not (folder / "train.csv").is_file():
        pytest.skip("LATELY_DATA_DIR does not name a folder with jdata in it")
    return folder


@pytest.mark.parametrize("walk", ["made", "jdata"], indirect=True)
def test_every_event_of_the_log_is_scored_or_dead(
    walk: Walk, capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    walk.go()

    evidence, folder = walk.evidence(), walk.folder
    sent = sum(len((folder / log).read_bytes().splitlines()) for log in ("past.jsonl", "new.jsonl"))
    assert len(evidence.events) == sent
    # Each user's last score is of the last valid event and fits the schema; the oracle sees to it.
    differences = examine(evidence, Answers(load_scorer(folder / "jd-model")))
    assert not differences, report(differences)

    outcomes = walk.metrics("lately_events_total")
    ledger = keep(evidence.events, PARTITIONS, DEFAULT_RULES)
    assert {name: count for name, count in outcomes.items() if count} == dict(ledger.outcomes)
    assert sum(outcomes.values()) == sent
    assert sum(walk.metrics("lately_scores_total").values()) == len(evidence.scores)
    watched = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    assert len(watched) == len(evidence.scores)

    figures = json.loads((folder / "figures.json").read_text(encoding="utf-8"))["items"]["all"]
    with capsys.disabled():
        print(f"\n{request.node.name}: {summary(evidence, outcomes, figures)}")
    assert figures["lately"]["recall@20"] > figures["popularity"]["recall@20"]


def summary(evidence: Evidence, outcomes: dict[str, int], figures: dict[str, Any]) -> str:
    users = {record.key for record in evidence.events}
    parts = {
        "events": len(evidence.events),
        **{name: count for name, count in outcomes.items() if count},
        "users": len(users),
        "scores": len(evidence.scores),
        "users with a score": len({record.key for record in evidence.scores}),
        "asked before": figures["lately"]["n"],
        "Recall@20": f"{figures['lately']['recall@20']:.4f}",
        "of popularity": f"{figures['popularity']['recall@20']:.4f}",
    }
    return ", ".join(f"{name} {value}" for name, value in parts.items())


def test_the_made_log_is_read_whole_but_for_what_is_no_event(tmp_path: Path) -> None:
    from model.commands.convert import run

    n_events = made_jdata.write(tmp_path / "made")

    report = run("jdata", [tmp_path / "made"], tmp_path / "all.jsonl")
    assert report.events.total() == n_events
    assert {"click", "cart", "buy"} == set(report.events)
    assert sum(report.rejected.values()) >= 2 * made_jdata.N_FOLLOWS + made_jdata.N_DOUBLES
