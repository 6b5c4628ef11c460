"""What fails around a worker: the model, the disk, the broker; and what it says of itself."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.kafka.artifact import items_of
from tests.kafka.broker import Broker, Unavailable
from tests.kafka.client import Client
from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.message import Message
from tests.kafka.mounts import mounted
from tests.kafka.process import wait_until
from tests.kafka.stage import Stage
from tests.kafka.worker import Worker
from tests.oracle.answers import Answers
from tests.oracle.hashing import partition_of
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

NOW_MS = 1_700_000_000_000


def click(user: str, item: str, ts: int = NOW_MS, note: str = "") -> Message:
    body = {"user_id": user, "item_id": item, "action": "click", "ts": ts, "note": note}
    key = user.encode()
    return Message(partition_of(key, 4), ts, key, json.dumps(body).encode())


def test_worker_says_when_it_is_ready(open_stage: OpenStage) -> None:
    worker = open_stage().start()

    assert wait_until(lambda: worker.status("/livez") == 200, 30), worker.tail()
    assert worker.status("/readyz") == 503
    worker.wait_ready()
    worker.stop()
    assert worker.status("/readyz") is None


@pytest.mark.parametrize("mutant", ["poisoned", "untrue"])
def test_user_whom_the_model_cannot_score_harms_nobody_else(
    mutant: str, open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    item = items_of(artifact)[0]
    stage = open_stage()
    stage.feed([click(f"well-{n}", item) for n in range(50)])
    stage.feed([click("ill", item), click("ill", "poison", NOW_MS + 1)])
    worker = stage.start(mutant=mutant)
    stage.wait_committed()
    worker.stop()

    evidence = stage.evidence()
    (letter,) = evidence.dead
    headers = dict(letter.headers)
    assert headers["lately.reason"] == b"unscorable"
    assert json.loads(letter.value or b"")["item_id"] == "poison"
    well = [event for event in evidence.events if event.key != b"ill"]
    scores = [score for score in evidence.scores if score.key != b"ill"]
    states = [state for state in evidence.changelog if state.key != b"ill"]
    rest = evidence._replace(events=well, scores=scores, changelog=states, dead=[])
    differences = examine(rest, answers)
    assert not differences, report(differences)


def test_model_that_hangs_ends_the_worker_in_one_line_and_loses_nothing(
    open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    item = items_of(artifact)[0]
    stage = open_stage({"scoring_timeout_s": "3"})
    worker = stage.start(mutant="stuck").wait_ready()
    stage.feed([click(f"well-{n}", item) for n in range(50)])
    stage.wait_committed()
    before = stage.client.committed(stage.group, stage.events)

    stage.feed([click("ill", "poison"), *(click(f"mate-{n}", item) for n in range(20))])

    assert worker.wait(60.0) == 1, worker.tail()
    said = worker.errors.read_text(encoding="utf-8").splitlines()
    (line,) = (line for line in said if line.startswith("lately: "))
    assert not any("Traceback" in line for line in said)
    assert "did not answer within 3 s" in line
    assert stage.client.committed(stage.group, stage.events) == before
    worker = stage.start()
    stage.wait_quiet()
    worker.stop()
    differences = examine(stage.evidence(), answers)
    assert not differences, report(differences)


def test_batches_are_cut_to_what_the_scores_topic_takes(
    open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    item = items_of(artifact)[0]
    stage = open_stage(partitions=1)
    # A score has more than a kilobyte, and the backlog is scored in batches of hundreds.
    stage.client.alter_topic(stage.scores, cleanup_policy="compact", max_message_bytes="131072")
    users = [click(f"u{n}", item)._replace(partition=0) for n in range(1_500)]
    stage.feed(users)
    worker = stage.start()
    stage.wait_quiet()

    assert "max.message.bytes: found 131072" in worker.errors.read_text(encoding="utf-8")
    worker.stop()
    assert len({record.key for record in stage.client.read(stage.scores)}) == len(users)


def test_largest_message_that_the_broker_takes_becomes_a_dead_letter(
    open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    item = items_of(artifact)[0]
    stage = open_stage()
    largest = 1_048_588 - 300  # Kafka's limit of a batch, less our own fields and the batch's
    stage.feed([click("u1", item), click("u2", item, note="x" * largest), click("u2", item)])
    worker = stage.start()
    stage.wait_quiet()
    worker.stop()

    differences = examine(stage.evidence(), answers)
    assert not differences, report(differences)


def test_disk_that_fills_up_ends_the_worker_and_loses_nothing(
    open_stage: OpenStage, load: MakeLoad, answers: Answers, tmp_path: Path
) -> None:
    stage = open_stage()
    messages = load(0, n_events=6_000)
    with mounted(tmp_path / "state-a", "size=24m") as folder:
        worker = stage.start().wait_ready()
        stage.feed(messages[:1000])
        stage.wait_committed()
        ballast = folder / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(b"\0" * 4096)
        stage.feed(messages[1000:4000])
        assert worker.wait(60.0) == 1, worker.tail()
        assert "Traceback" not in worker.errors.read_text(encoding="utf-8")
        ballast.unlink()

        worker = stage.start()
        stage.feed(messages[4000:])
        stage.wait_quiet()
        worker.stop()
    differences = examine(stage.evidence(), answers)
    assert not differences, report(differences)


def test_state_directory_that_is_damaged_is_rebuilt(
    open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage = open_stage()
    messages = load(0, n_events=6_000)
    worker = stage.start()
    stage.feed(messages[:3000])
    stage.wait_committed()
    worker.kill()
    damaged = [file for file in worker.state_dir.rglob("MANIFEST-*") if file.is_file()]
    assert len(damaged) == 4
    for file in damaged:
        file.write_bytes(b"damaged" * 100)

    worker = stage.start()
    stage.feed(messages[3000:])
    stage.wait_quiet()
    assert 'lately_rebuilds_total{cause="corrupt"} 4.0' in worker.text("/metrics")
    worker.stop()
    differences = examine(stage.evidence(), answers)
    assert not differences, report(differences)


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that may be mistreated."""
    broker = Broker(tmp_path / "kafka", {"broker.session.timeout.ms": "3000"})
    try:
        broker.start()
    except Unavailable as reason:
        pytest.skip(f"no Kafka of our own: {reason}")
    yield broker
    broker.stop()


def lines_of(worker: Worker) -> list[dict[str, Any]]:
    """The lines of its log, which must be JSON."""
    return [json.loads(line) for line in worker.errors.read_text().splitlines()]


def said(worker: Worker) -> list[str]:
    """The lines in its own words on how it is."""
    return [line["event"] for line in lines_of(worker) if "status_log" in line["logger"]]


def knows_its_lag(worker: Worker) -> bool:
    """Whether its metrics have the lag of any partition."""
    return "\nlately_consumer_lag_records{" in worker.text("/metrics")


def says_how_long_the_broker_was_away(worker: Worker) -> bool:
    """Whether the log of an outage is a few lines, and each says whose it is."""
    lines = lines_of(worker)
    (first, *_) = [line for line in lines if line["event"] == "ready"]
    assert (first["http"], first["partitions"]) == (f"http://{worker.http}", [0, 1, 2, 3])
    assert all({"group", "instance", "version"} <= set(line) for line in lines), lines
    away = [line for line in lines if line["event"].startswith("the broker does not answer")]
    back = [line for line in lines if line["event"] == "the broker answers again"]
    assert away and len(back) in (1, 2), lines  # the frozen broker may not have been missed
    of_libraries = [line for line in lines if not line["logger"].startswith("stream")]
    assert len(of_libraries) < 40, of_libraries  # aiokafka says the same ten times a second
    return bool(back[-1]["away_s"] > 0)


def test_broker_that_freezes_and_crashes(
    own_broker: Broker, artifact: Path, load: MakeLoad, answers: Answers, tmp_path: Path
) -> None:
    client = Client(own_broker.bootstrap)
    stage = Stage(client, "outage", tmp_path, artifact, {"log_format": "json"})
    stage.open()
    messages = load(0, n_events=9_000)
    try:
        worker = stage.start().wait_ready()
        stage.feed(messages[:3000])
        own_broker.freeze()
        time.sleep(5.0)  # the outage itself, not a wait for anything
        own_broker.thaw()
        stage.feed(messages[3000:6000])
        own_broker.kill()
        assert wait_until(lambda: worker.status("/readyz") == 503, 30), "ready without a broker"
        assert worker.status("/livez") == 200
        assert wait_until(lambda: not knows_its_lag(worker), 30), "the lag of before the outage"
        own_broker.resume()
        stage.feed(messages[6000:])
        stage.wait_quiet()
        worker.wait_ready()
        assert wait_until(lambda: said(worker)[-1] == "ready", 10), worker.tail()
        assert wait_until(lambda: knows_its_lag(worker), 30), worker.text("/metrics")
        assert says_how_long_the_broker_was_away(worker)
        worker.stop()
        differences = examine(stage.evidence(), answers)
        assert not differences, report(differences)
    finally:
        stage.close()
        client.close()
        shutil.rmtree(tmp_path / "kafka", ignore_errors=True)


@pytest.mark.parametrize("earlier", [0, 1], ids=["before the first write", "later"])
def test_broker_that_answers_nothing_ends_the_worker_in_the_delivery_timeout_and_nothing_is_lost(
    own_broker: Broker, artifact: Path, answers: Answers, tmp_path: Path, earlier: int
) -> None:
    # An idempotent producer of aiokafka tries for ever.
    client = Client(own_broker.bootstrap)
    late = {"delivery_timeout_s": "3", "batch_deadline_ms": "5000", "session_timeout_s": "40"}
    stage = Stage(client, f"silence{earlier}", tmp_path, artifact, late)
    stage.open()
    item = items_of(artifact)[0]
    try:
        worker = stage.start().wait_ready()
        if earlier:
            stage.feed([click("u0", item)])
            stage.wait_committed()
        stage.feed([click("u1", item)])
        # A counter, not the gauge of waiting users, which may still show the one before.
        assert wait_until(lambda: worker.outcomes()["applied"] == 1 + earlier, 30.0)
        own_broker.freeze()
        assert worker.wait(60.0) == 1, worker.tail()
        said = worker.errors.read_text(encoding="utf-8").splitlines()
        (line,) = (line for line in said if line.startswith("lately: "))
        assert f"{stage.scores}: the broker has not acknowledged our records within" in line
        assert not any("Traceback" in line for line in said)

        own_broker.thaw()
        worker = stage.start()
        stage.wait_quiet()
        worker.stop()
        differences = examine(stage.evidence(), answers)
        assert not differences, report(differences)
    finally:
        own_broker.thaw()
        stage.close()
        client.close()
        shutil.rmtree(tmp_path / "kafka", ignore_errors=True)
