"""An events topic that is not what it was: made anew, cut, grown, or deleted before it was read."""

import pytest

from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.process import wait_until
from tests.kafka.stage import Stage
from tests.kafka.worker import Worker

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def last_line(worker: Worker) -> str:
    return worker.errors.read_text(encoding="utf-8").splitlines()[-1]


def make_anew(stage: Stage) -> None:
    """Delete the events topic and create it again, as if it were the same."""
    stage.client.delete_topics(stage.events)
    assert wait_until(lambda: stage.events not in stage.client.topics(), 30.0)
    stage.client.create_topic(stage.events, 4, retention_ms="-1")


def test_a_topic_made_anew_ends_the_worker_and_every_start_until_the_group_is_another(
    open_stage: OpenStage, load: MakeLoad
) -> None:
    stage = open_stage()
    messages = load(0, n_events=2_000)
    worker = stage.start()
    stage.feed(messages)
    stage.wait_committed()

    make_anew(stage)

    assert worker.wait(60.0) == 1, worker.tail()
    assert f"{stage.events} was made anew under this worker; stop every worker" in last_line(worker)
    # More events than before, so offsets do not tell; and Kafka deleted the commits with the topic.
    stage.feed(messages + messages)
    again = stage.start()
    assert again.wait(60.0) == 1, again.tail()
    assert f"{stage.events}: the states on disk hold offsets of another topic" in last_line(again)
    # What the line says: another group begins empty, once the old one gave up the scores topic.
    stage.client.delete_group(stage.group)
    third = stage.start("b", group=f"{stage.group}-2").wait_ready()
    third.stop()
    stage.client.delete_topics(f"{stage.group}-2-state-changelog")


def test_a_topic_that_gets_more_partitions_ends_the_worker_as_it_would_end_a_start(
    open_stage: OpenStage,
) -> None:
    stage = open_stage()
    worker = stage.start().wait_ready()

    stage.client.grow_topic(stage.events, 6)

    assert worker.wait(60.0) == 1, worker.tail()
    found = f"{stage.scores}: partitions: found 4, expected 6 as {stage.events} has"
    assert found in last_line(worker)


def test_events_deleted_before_they_were_read_are_counted_and_the_rest_is_scored(
    open_stage: OpenStage, load: MakeLoad
) -> None:
    stage = open_stage()
    messages = load(0, n_events=4_000)
    worker = stage.start()
    stage.feed(messages[:2_000])
    stage.wait_committed()
    worker.stop()
    before = stage.client.committed(stage.group, stage.events)
    stage.feed(messages[2_000:])
    # The first 10 that are unread of each partition are deleted, and all that is read.
    stage.client.delete_records(stage.events, {n: offset + 10 for n, offset in before.items()})

    worker = stage.start()
    stage.wait_committed()

    assert "lately_events_lost_total 40.0" in worker.text("/metrics")
    said = worker.errors.read_text(encoding="utf-8")
    assert "events were deleted before they were read" in said
    assert "events_by_partition={0: 10, 1: 10, 2: 10, 3: 10}" in said
    worker.stop()
