"""The script of access control lists, on a Kafka that denies everything else."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.artifact import items_of
from tests.kafka.client import Client
from tests.kafka.secure_broker import LIMITED, SecureBroker
from tests.kafka.secure_stage import ACLS, SecureStage
from tests.kafka.test_failures import click

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

END_S = 90.0


@pytest.fixture(scope="module")
def stage(
    secure_broker: SecureBroker,
    secure_client: Client,
    artifact: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[SecureStage]:
    """Topics on which the limited user may do what a worker must, and nothing else."""
    name = f"acls-{uuid.uuid4().hex[:6]}"
    folder = tmp_path_factory.mktemp("acls")
    stage = SecureStage(secure_broker, secure_client, name, folder, artifact)
    stage.open()
    stage.grant("worker", LIMITED)
    yield stage
    stage.close()


def test_worker_scores_with_exactly_these_rights(
    stage: SecureStage, secure_broker: SecureBroker, artifact: Path
) -> None:
    worker = stage.enter("sasl", secure_broker.sasl("SCRAM-SHA-512", LIMITED)).wait_ready()
    item = items_of(artifact)[0]
    dead = click("u2", item)._replace(value=b"no JSON")
    stage.feed([click("u1", item), dead])

    stage.wait_committed()

    assert [score.key for score in stage.client.read(stage.scores)] == [b"u1"]
    assert len(stage.client.read(stage.dead)) == 1
    worker.stop()


@pytest.mark.parametrize(
    ("operation", "kind", "topic"),
    [
        ("Read", "--topic", "events"),
        ("Read", "--topic", "scores"),
        ("Write", "--topic", "scores"),
        ("Write", "--topic", "dead"),
        ("Read", "--topic", "changelog"),
        ("Write", "--topic", "changelog"),
        ("Read", "--group", "group"),
    ],
)
def test_worker_without_one_right_ends_in_one_line_and_commits_nothing(
    stage: SecureStage,
    secure_broker: SecureBroker,
    artifact: Path,
    operation: str,
    kind: str,
    topic: str,
) -> None:
    resource: str = getattr(stage, topic)
    item = items_of(artifact)[0]
    before = stage.client.committed(stage.group, stage.events)
    stage.alter("--remove", LIMITED, operation, kind, resource)
    try:
        worker = stage.enter("sasl", secure_broker.sasl("SCRAM-SHA-512", LIMITED))
        said_before = len(worker.errors.read_text(encoding="utf-8"))
        # A good event and a bad one of each partition, so that every topic is written to.
        users = [f"u{n}" for n in range(8)]
        bad = [click(user, item)._replace(value=b"no JSON") for user in users]
        stage.feed([*(click(user, item) for user in users), *bad])

        code = worker.wait(END_S)
    finally:
        stage.alter("--add", LIMITED, operation, kind, resource)

    said = worker.errors.read_text(encoding="utf-8")[said_before:]
    assert code == 1, said
    last = said.strip().splitlines()[-1]
    assert last.startswith("lately: ")
    assert resource in last
    assert "deploy/kafka/acls.sh" in last
    assert "Traceback" not in said
    assert stage.client.committed(stage.group, stage.events) == before


def test_what_the_script_does_not_know_is_bad_usage() -> None:
    for words in ([], ["worker"], ["nobody", "User:a"], ["worker", "a"]):
        done = subprocess.run([str(ACLS), *words], capture_output=True, text=True, check=False)

        assert done.returncode == 2
        assert done.stderr.startswith("acls.sh: ")
        assert done.stderr.count("\n") == 1
