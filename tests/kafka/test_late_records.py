"""What a worker that was cut off had on its way arrives at last: it changes nobody's state."""

import shutil
from pathlib import Path

import pytest

from tests.kafka.artifact import items_of
from tests.kafka.conftest import OpenStage
from tests.kafka.message import Message
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


def states(stage: Stage) -> list[Record]:
    """The user's records in the changelog, in order."""
    changelog = stage.client.read(stage.changelog)
    return [record for record in changelog if record.key == USER.encode()]


def arrives_late(stage: Stage, record: Record) -> None:
    """It is written once more, behind all that is there."""
    late = Message(record.partition, NOW_MS, record.key, record.value, record.headers)
    stage.client.produce(stage.changelog, [late])
    stage.interruptions += 1  # somebody had the partition, and was cut off


def crash(worker: Worker, *, disk_lost: bool) -> None:
    worker.kill()
    if disk_lost:
        shutil.rmtree(worker.state_dir)


@pytest.mark.parametrize("disk_lost", [False, True])
def test_a_late_tombstone_deletes_nobody_who_has_come_back(
    disk_lost: bool, open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    item = items_of(artifact)[0]
    stage = open_stage()
    worker = stage.start()
    stage.feed([click(USER, item), forget()])
    stage.wait_quiet()
    tombstone = states(stage)[-1]
    assert tombstone.value is None
    stage.feed([click(USER, item)])
    stage.wait_committed()
    crash(worker, disk_lost=disk_lost)
    arrives_late(stage, tombstone)

    worker = stage.start().wait_ready()
    mended = states(stage)[-1]
    worker.stop()

    assert mended.value is not None and not decode(mended.value).forgotten
    differences = examine(stage.evidence(), answers)
    assert not differences, report(differences)


@pytest.mark.parametrize("disk_lost", [False, True])
def test_a_late_state_brings_nobody_back_who_is_forgotten(
    disk_lost: bool, open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    item = items_of(artifact)[0]
    stage = open_stage({"forget_marker_s": "600"})
    worker = stage.start()
    stage.feed([click(USER, item)])
    stage.wait_committed()
    (state,) = states(stage)
    stage.feed([forget()])
    stage.wait_committed()
    crash(worker, disk_lost=disk_lost)
    arrives_late(stage, state)

    worker = stage.start().wait_ready()
    marker = states(stage)[-1]
    worker.stop()

    assert marker.value is not None and decode(marker.value).forgotten
    # In the end nothing of the user is left, when another's event is committed behind the forget.
    stage.settings["forget_marker_s"] = "0"
    other = next(
        name for name in map(str, range(99)) if click(name, item).partition == marker.partition
    )
    worker = stage.start()
    stage.feed([click(other, item)])
    stage.wait_quiet()
    worker.stop()
    assert states(stage)[-1].value is None
    differences = examine(stage.evidence(), answers)
    assert not differences, report(differences)
