"""What a worker that was cut off had on its way arrives at last, and is nobody's last word."""

import json
import shutil
from pathlib import Path

import pytest

from tests.kafka.artifact import items_of
from tests.kafka.conftest import OpenStage
from tests.kafka.message import Message
from tests.kafka.process import wait_until
from tests.kafka.stage import Stage
from tests.kafka.test_failures import NOW_MS, click
from tests.kafka.worker import Worker
from tests.oracle.answers import Answers
from tests.oracle.record import Record
from tests.oracle.value import decode
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

USER = "u1"


def forget(ts: int = NOW_MS) -> Message:
    message = click(USER, "", ts)
    return message._replace(value=b'{"user_id":"%b","action":"forget"}' % USER.encode())


def records_of(stage: Stage, topic: str) -> list[Record]:
    """The user's records there, in order."""
    return [record for record in stage.client.read(topic) if record.key == USER.encode()]


def arrives_late(stage: Stage, topic: str, record: Record) -> None:
    """It is written once more, behind all that is there."""
    late = Message(record.partition, NOW_MS, record.key, record.value, record.headers)
    stage.client.produce(topic, [late])
    stage.interruptions += 1  # somebody had the partition, and was cut off


def assert_as_promised(stage: Stage, answers: Answers) -> None:
    differences = examine(stage.evidence(), answers)
    assert not differences, report(differences)


def as_of(score: bytes | None) -> dict[str, int]:
    """Which event a score is of."""
    found: dict[str, int] = json.loads(score or b"")["as_of"]
    return found


def other_of(partition: int) -> str:
    """Another user there."""
    return next(name for name in map(str, range(99)) if click(name, "").partition == partition)


def clicked_twice(stage: Stage, item: str) -> Worker:
    """A worker that has committed both."""
    worker = stage.start()
    for number in range(2):
        stage.feed([click(USER, item, NOW_MS + number)])
        stage.wait_committed()
    return worker


def crash(worker: Worker, *, disk_lost: bool) -> None:
    worker.kill()
    if disk_lost:
        shutil.rmtree(worker.state_dir)


def forgotten_and_back(stage: Stage, topic: str, item: str, *, disk_lost: bool) -> None:
    """A user is forgotten and comes back, the worker crashes, and the null there comes again."""
    worker = stage.start()
    stage.feed([click(USER, item), forget()])
    stage.wait_quiet()
    null = records_of(stage, topic)[-1]
    assert null.value is None
    stage.feed([click(USER, item, NOW_MS + 1)])
    stage.wait_committed()
    crash(worker, disk_lost=disk_lost)
    arrives_late(stage, topic, null)


@pytest.mark.parametrize("disk_lost", [False, True])
def test_a_late_tombstone_deletes_nobody_who_has_come_back(
    disk_lost: bool, open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    stage = open_stage()
    forgotten_and_back(stage, stage.changelog, items_of(artifact)[0], disk_lost=disk_lost)

    worker = stage.start().wait_ready()
    mended = records_of(stage, stage.changelog)[-1]
    worker.stop()

    assert mended.value is not None and not decode(mended.value).forgotten
    assert_as_promised(stage, answers)


@pytest.mark.parametrize("disk_lost", [False, True])
def test_a_late_state_brings_nobody_back_who_is_forgotten(
    disk_lost: bool, open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    item = items_of(artifact)[0]
    stage = open_stage({"forget_marker_s": "600"})
    worker = stage.start()
    stage.feed([click(USER, item)])
    stage.wait_committed()
    (state,) = records_of(stage, stage.changelog)
    stage.feed([forget()])
    stage.wait_committed()
    crash(worker, disk_lost=disk_lost)
    arrives_late(stage, stage.changelog, state)

    worker = stage.start().wait_ready()
    marker = records_of(stage, stage.changelog)[-1]
    worker.stop()

    assert marker.value is not None and decode(marker.value).forgotten
    # In the end nothing of the user is left, when another's event is committed behind the forget.
    stage.settings["forget_marker_s"] = "0"
    worker = stage.start()
    stage.feed([click(other_of(marker.partition), item)])
    stage.wait_quiet()
    worker.stop()
    assert records_of(stage, stage.changelog)[-1].value is None
    assert_as_promised(stage, answers)


@pytest.mark.parametrize("disk_lost", [False, True])
def test_a_late_score_is_not_a_users_last_word(
    disk_lost: bool, open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    items = items_of(artifact)
    stage = open_stage()
    worker = stage.start()
    for number in range(3):
        stage.feed([click(USER, items[number], NOW_MS + number)])
        stage.wait_committed()
    first, _, last = records_of(stage, stage.scores)
    crash(worker, disk_lost=disk_lost)
    arrives_late(stage, stage.scores, first)

    worker = stage.start().wait_ready()
    mended = records_of(stage, stage.scores)[-1]
    worker.stop()

    assert as_of(mended.value) == as_of(last.value)
    assert_as_promised(stage, answers)


def test_a_late_null_withdraws_nobodys_score_who_has_come_back(
    open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    stage = open_stage()
    forgotten_and_back(stage, stage.scores, items_of(artifact)[0], disk_lost=False)

    worker = stage.start().wait_ready()
    mended = records_of(stage, stage.scores)[-1]
    worker.stop()

    assert mended.value is not None
    assert_as_promised(stage, answers)


@pytest.mark.parametrize("flows_on", [False, True])
def test_a_worker_that_lives_sees_a_late_score_and_mends_it(
    flows_on: bool, open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    # Whether others of the partition come by, or nothing does: then nobody's offset would tell.
    item = items_of(artifact)[0]
    stage = open_stage()
    worker = clicked_twice(stage, item)
    first, last = records_of(stage, stage.scores)
    arrives_late(stage, stage.scores, first)
    if flows_on:
        stage.feed([click(other_of(first.partition), item)])

    def mended() -> bool:
        value = records_of(stage, stage.scores)[-1].value
        return as_of(value) == as_of(last.value) and worker.status("/readyz") == 200

    assert wait_until(mended, 60.0), worker.tail()
    said = worker.errors.read_text(encoding="utf-8")
    assert f"{stage.scores}: another writer appended to partition {first.partition}" in said
    stage.feed([click(USER, item, NOW_MS + 2)])
    stage.wait_committed()
    worker.stop()
    assert as_of(records_of(stage, stage.scores)[-1].value)["offset"] > as_of(last.value)["offset"]
    assert_as_promised(stage, answers)


def test_a_worker_that_lives_sees_a_late_state_and_mends_it(
    open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    item = items_of(artifact)[0]
    stage = open_stage()
    worker = clicked_twice(stage, item)
    first, last = records_of(stage, stage.changelog)
    arrives_late(stage, stage.changelog, first)
    stage.feed([click(other_of(first.partition), item)])

    def mended() -> bool:
        value = records_of(stage, stage.changelog)[-1].value
        return value == last.value and worker.status("/readyz") == 200

    assert wait_until(mended, 60.0), worker.tail()
    stage.wait_committed()
    worker.stop()
    assert_as_promised(stage, answers)
