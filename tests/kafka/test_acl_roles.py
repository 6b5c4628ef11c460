"""The other roles of the script of access control lists: each may do its work, and no other's."""

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.artifact import items_of
from tests.kafka.client import Client
from tests.kafka.secure_broker import LIMITED, SecureBroker
from tests.kafka.secure_stage import SecureStage
from tests.kafka.test_failures import click
from tests.kafka.worker import Settings

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

DENIED = "deploy/kafka/acls.sh"
WATCH_S = 60.0


@pytest.fixture
def stage(
    secure_broker: SecureBroker, secure_client: Client, artifact: Path, tmp_path: Path
) -> Iterator[SecureStage]:
    """Names of topics that nobody has a right to yet; a test makes them, or lets them be made."""
    name = f"roles-{uuid.uuid4().hex[:6]}"
    stage = SecureStage(secure_broker, secure_client, name, tmp_path, artifact)
    yield stage
    stage.close()


@pytest.fixture
def limited(secure_broker: SecureBroker) -> Settings:
    return secure_broker.sasl("SCRAM-SHA-512", LIMITED)


@pytest.fixture
def log(tmp_path: Path, artifact: Path) -> Path:
    """An event log of one event."""
    path = tmp_path / "events.jsonl"
    event = {"user_id": "u1", "item_id": items_of(artifact)[0], "action": "click"}
    path.write_text(json.dumps({**event, "ts": int(time.time() * 1000)}))
    return path


def refused(stage: SecureStage, limited: Settings, *words: str) -> None:
    """This command ends with one line that names the script."""
    done = stage.command("sasl", limited, *words)

    assert done.returncode == 1, (words, done.stdout, done.stderr)
    assert DENIED in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_who_makes_topics_makes_all_of_them(
    stage: SecureStage, limited: Settings, log: Path
) -> None:
    stage.grant("topics", LIMITED)

    made = stage.command("sasl", limited, "topics", "--create", "--json")

    assert made.returncode == 0, made.stderr
    ours = {stage.events, stage.scores, stage.dead, stage.receipts, stage.changelog}
    assert ours == set(json.loads(made.stdout)["created"])
    assert ours <= stage.client.topics()
    refused(stage, limited, "replay", str(log), "--speed", "max")


def test_a_producer_sends_events_and_reads_nothing(
    stage: SecureStage, limited: Settings, log: Path
) -> None:
    stage.open()
    stage.grant("producer", LIMITED)

    sent = stage.command("sasl", limited, "replay", str(log), "--speed", "max")

    assert sent.returncode == 0, sent.stderr
    assert [event.key for event in stage.client.read(stage.events)] == [b"u1"]
    refused(stage, limited, "watch", "--json", "--from-beginning")
    refused(stage, limited, "dead", "list")


def test_a_consumer_watches_scores_and_writes_nothing(
    stage: SecureStage, secure_broker: SecureBroker, limited: Settings, artifact: Path, log: Path
) -> None:
    stage.open()
    stage.grant("consumer", LIMITED)
    worker = stage.enter("tls", secure_broker.tls()).wait_ready()
    stage.feed([click("u1", items_of(artifact)[0])])
    stage.wait_committed()
    worker.stop()

    watched = stage.first_line("sasl", limited, WATCH_S, "watch", "--json", "--from-beginning")

    assert json.loads(watched)["user_id"] == "u1"
    refused(stage, limited, "replay", str(log), "--speed", "max")
    refused(stage, limited, "dead", "list")


def test_an_eraser_forgets_and_sees_no_score(
    stage: SecureStage, secure_broker: SecureBroker, limited: Settings
) -> None:
    stage.open()
    stage.grant("eraser", LIMITED)
    worker = stage.enter("tls", secure_broker.tls()).wait_ready()

    gone = stage.command("sasl", limited, "forget", "u1")

    assert gone.returncode == 0, gone.stderr
    worker.stop()
    refused(stage, limited, "watch", "--json", "--from-beginning")
    refused(stage, limited, "dead", "list")


def test_a_trainer_exports_events_and_writes_nothing(
    stage: SecureStage, limited: Settings, log: Path, tmp_path: Path
) -> None:
    stage.open()
    stage.grant("trainer", LIMITED)
    stage.feed([click("u1", "i1")])
    out = tmp_path / "log"

    exported = stage.command("sasl", limited, "export", "--since", "2020-01-01", "--out", str(out))

    assert exported.returncode == 0, exported.stderr
    assert len((out / "events-00000.jsonl").read_text().splitlines()) == 1
    refused(stage, limited, "replay", str(log), "--speed", "max")
    refused(stage, limited, "watch", "--json", "--from-beginning")


def test_a_mender_replays_dead_letters_and_sees_no_score(
    stage: SecureStage, secure_broker: SecureBroker, limited: Settings, artifact: Path
) -> None:
    stage.open()
    stage.grant("mender", LIMITED)
    worker = stage.enter("tls", secure_broker.tls()).wait_ready()
    stage.feed([click("u1", items_of(artifact)[0])._replace(value=b"no JSON")])
    stage.wait_committed()

    listed = stage.command("sasl", limited, "dead", "list", "--json")
    sent = stage.command("sasl", limited, "dead", "replay", "--all")

    assert listed.returncode == 0, listed.stderr
    assert json.loads(listed.stdout)["reasons"] == {"not_json": 1}
    assert sent.returncode == 0, sent.stderr
    stage.wait_committed()
    worker.stop()
    assert len(stage.client.read(stage.dead)) == 2
    refused(stage, limited, "watch", "--json", "--from-beginning")
