"""Who is in the group with us: another worker with our name, or consumers of another kind."""

import pytest

from tests.kafka.conftest import OpenStage
from tests.kafka.worker import Worker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]


def last_line(worker: Worker) -> str:
    return worker.errors.read_text(encoding="utf-8").splitlines()[-1]


def test_of_two_workers_with_one_instance_id_the_first_ends_and_the_second_stays(
    open_stage: OpenStage,
) -> None:
    stage = open_stage({"instance_id": "one"})
    first = stage.start("a").wait_ready()

    second = stage.start("b")

    assert first.wait(60.0) == 1, first.tail()
    assert "another worker with our instance id one has taken our place" in last_line(first)
    assert "--instance-id" in last_line(first)
    second.wait_ready()
    second.stop()


def test_a_group_of_other_consumers_is_refused_until_they_have_left(
    open_stage: OpenStage,
) -> None:
    stage = open_stage()
    leave = stage.client.join(stage.group, stage.events)
    worker = stage.start()

    assert worker.wait(60.0) == 1, worker.tail()
    assert f"group {stage.group}: members: found 1 that share out partitions by" in last_line(
        worker
    )
    assert "set another --group" in last_line(worker)
    leave()
    stage.start().wait_ready().stop()
