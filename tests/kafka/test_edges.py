"""Bad input at the edges: one clear line, the documented exit code, and nothing committed."""

import os
import shutil
import socket
from pathlib import Path

import pytest

from tests.kafka.broker import free_port
from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.mounts import mounted
from tests.kafka.stage import Stage
from tests.kafka.worker import Settings, Worker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

END_S = 60.0


def assert_ends_with_a_line(worker: Worker, code: int, *words: str) -> None:
    """The worker ends by itself, with this code, and its last line on stderr has these words."""
    assert worker.wait(END_S) == code, worker.tail()
    lines = worker.errors.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if line.startswith("Traceback")], worker.tail()
    errors = [line for line in lines if line.startswith("lately: ")]
    assert len(errors) == 1 and errors == lines[-1:], worker.tail()
    missing = [word for word in words if word not in errors[0]]
    assert not missing, f"{missing} not in: {errors[0]}"


def assert_nothing_happened(stage: Stage) -> None:
    assert stage.client.committed(stage.group, stage.events) == {}
    assert stage.progress() == 0


@pytest.fixture
def stage(open_stage: OpenStage, load: MakeLoad) -> Stage:
    """A stage with events that wait for a worker."""
    stage = open_stage()
    stage.feed(load(0, n_events=100))
    return stage


def start(
    stage: Stage,
    *,
    bootstrap: str | None = None,
    artifact: Path | None = None,
    state_dir: Path | None = None,
    http: str | None = None,
    settings: Settings | None = None,
) -> Worker:
    """Start a worker that differs from the stage's own in what is given."""
    return stage.watch(
        Worker(
            bootstrap or stage.client.bootstrap,
            artifact or stage.artifact,
            state_dir or stage.folder / "state",
            stage.folder / "edge.log",
            {**stage.settings, **(settings or {})},
            http=http,
        )
    )


# --- the broker and its topics -----------------------------------------------------------------


def test_broker_that_is_not_there(stage: Stage) -> None:
    nowhere = f"127.0.0.1:{free_port()}"

    assert_ends_with_a_line(start(stage, bootstrap=nowhere), 1, nowhere)


def test_something_else_than_a_broker(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        deaf = f"127.0.0.1:{mute.getsockname()[1]}"

        assert_ends_with_a_line(start(stage, bootstrap=deaf), 1, deaf)


def test_scores_topic_with_the_wrong_number_of_partitions(stage: Stage) -> None:
    narrow = f"{stage.scores}.narrow"
    stage.client.create_topic(narrow, 3, cleanup_policy="compact")

    worker = start(stage, settings={"scores_topic": narrow})
    assert_ends_with_a_line(worker, 1, narrow, "partitions", "found 3", "expected 4")
    assert_nothing_happened(stage)


def test_changelog_with_the_wrong_number_of_partitions(stage: Stage) -> None:
    group = f"{stage.group}-wide"
    stage.client.create_topic(f"{group}-state-changelog", 5, cleanup_policy="compact")

    worker = start(stage, settings={"group": group})
    assert_ends_with_a_line(worker, 1, f"{group}-state-changelog", "found 5", "expected 4")
    assert stage.client.committed(group, stage.events) == {}
    assert stage.progress() == 0


def test_scores_topic_that_is_not_compacted(stage: Stage) -> None:
    bounded = f"{stage.scores}.bounded"
    stage.client.create_topic(bounded, 4, cleanup_policy="delete")

    worker = start(stage, settings={"scores_topic": bounded})
    assert_ends_with_a_line(worker, 1, bounded, "cleanup.policy", "compact")
    assert_nothing_happened(stage)


def test_topic_that_is_missing(stage: Stage) -> None:
    missing = f"{stage.scores}.elsewhere"

    worker = start(stage, settings={"scores_topic": missing})
    assert_ends_with_a_line(worker, 1, missing, "lately topics --create")
    assert stage.client.committed(stage.group, stage.events) == {}
    assert missing not in stage.client.topics()


# --- the artifact --------------------------------------------------------------------------------


@pytest.fixture
def broken(stage: Stage) -> Path:
    """A copy of the artifact, to be broken."""
    copy = stage.folder / "artifact"
    shutil.copytree(stage.artifact, copy)
    return copy


@pytest.mark.parametrize("file", ["model.onnx", "catalogue.json", "calibration.json"])
def test_artifact_with_a_flipped_byte(stage: Stage, broken: Path, file: str) -> None:
    content = bytearray((broken / file).read_bytes())
    content[len(content) // 2] ^= 0x01
    (broken / file).write_bytes(content)

    assert_ends_with_a_line(start(stage, artifact=broken), 1, str(broken), file, "sha256")
    assert_nothing_happened(stage)


def test_artifact_with_a_file_missing(stage: Stage, broken: Path) -> None:
    (broken / "model.onnx").unlink()

    assert_ends_with_a_line(start(stage, artifact=broken), 1, "model.onnx", "missing")
    assert_nothing_happened(stage)


def test_artifact_whose_manifest_is_no_json(stage: Stage, broken: Path) -> None:
    (broken / "manifest.json").write_bytes(b"\xff{")

    assert_ends_with_a_line(start(stage, artifact=broken), 1, "manifest.json")
    assert_nothing_happened(stage)


def test_artifact_that_is_not_there(stage: Stage) -> None:
    nowhere = stage.folder / "nowhere"

    assert_ends_with_a_line(start(stage, artifact=nowhere), 1, str(nowhere))
    assert_nothing_happened(stage)


# --- the settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("commit_interval_s", "-1"),
        ("commit_interval_s", "often"),
        ("batch_deadline_ms", "-5"),
        ("batch_users", "0"),
        ("sequence_length", "0"),
        ("session_timeout_s", "0"),
        ("max_message_bytes", "many"),
        ("scorer", "abacus"),
        ("log_format", "verse"),
        ("actions", "click,,buy"),
        ("actions", "click,forget"),
    ],
)
def test_setting_that_makes_no_sense(stage: Stage, name: str, value: str) -> None:
    assert_ends_with_a_line(start(stage, settings={name: value}), 2, name)
    assert_nothing_happened(stage)


def test_broker_without_a_port(stage: Stage) -> None:
    assert_ends_with_a_line(start(stage, bootstrap="localhost"), 2, "bootstrap", "HOST:PORT")


def test_address_without_a_port(stage: Stage) -> None:
    assert_ends_with_a_line(start(stage, http="localhost"), 2, "http", "HOST:PORT")


# --- the state directory ---------------------------------------------------------------------


def test_state_directory_that_is_a_file(stage: Stage) -> None:
    file = stage.folder / "file"
    file.touch()

    assert_ends_with_a_line(start(stage, state_dir=file), 1, str(file))
    assert_nothing_happened(stage)


def test_state_directory_that_may_not_be_written(stage: Stage) -> None:
    with mounted(stage.folder / "read-only", "ro,size=1m") as folder:
        assert_ends_with_a_line(start(stage, state_dir=folder), 1, str(folder), "Read-only")
    assert_nothing_happened(stage)


def test_state_directory_without_permission(stage: Stage) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere; the read-only file system stands for it")
    folder = stage.folder / "locked"
    folder.mkdir(mode=0o500)

    assert_ends_with_a_line(start(stage, state_dir=folder), 1, str(folder), "Permission")
    assert_nothing_happened(stage)


def test_state_directory_on_a_full_disk(stage: Stage) -> None:
    with mounted(stage.folder / "full", "size=64k") as folder:
        (folder / "ballast").write_bytes(b"\0" * (60 << 10))

        assert_ends_with_a_line(start(stage, state_dir=folder), 1, str(folder), "No space")
    assert_nothing_happened(stage)


def test_state_directory_of_another_worker(stage: Stage) -> None:
    first = stage.start().wait_ready()
    second = start(stage, state_dir=first.state_dir)

    assert_ends_with_a_line(second, 1, str(first.state_dir), "another worker")
    assert first.status("/readyz") == 200


# --- the address -----------------------------------------------------------------------------


def test_address_that_is_taken(stage: Stage) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"

        assert_ends_with_a_line(start(stage, http=taken), 2, "http", taken)
    assert_nothing_happened(stage)
