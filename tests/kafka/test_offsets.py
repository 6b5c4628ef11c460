"""An events topic that is not what it was: made anew, cut, grown, or deleted before it was read."""

import json

import pytest

from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.message import Message
from tests.kafka.process import wait_until
from tests.kafka.stage import Stage
from tests.kafka.worker import Worker
from tests.oracle.hashing import partition_of

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


NOW_MS = 1_790_000_000_000
USERS = [f"u{n}".encode() for n in range(8)]


def clicks(rounds: range) -> list[Message]:
    """A click of each user in each round."""
    return [
        Message(partition_of(user, 4), NOW_MS + n, user, json.dumps(body(user, n)).encode())
        for n in rounds
        for user in USERS
    ]


def body(user: bytes, n: int) -> dict[str, object]:
    return {"user_id": user.decode(), "item_id": f"i{n}", "action": "click", "ts": NOW_MS + n}


def actions(stage: Stage) -> set[int]:
    """How many actions the last scores of all users are of."""
    last = {record.key: record.value for record in stage.client.read(stage.scores)}
    assert last.keys() == set(USERS)
    return {json.loads(value or b"{}")["n_events"] for value in last.values()}


def test_a_group_that_a_tool_has_moved_or_deleted_loses_nothing_without_a_word(
    open_stage: OpenStage,
) -> None:
    # A static member would stay in the group for a while, and keep the tool off.
    stage = open_stage({"static_membership": "false"})
    worker = stage.start()
    stage.feed(clicks(range(5)))
    stage.wait_committed()
    before = stage.client.committed(stage.group, stage.events)
    # All that was read is deleted, which harms nobody.
    stage.client.delete_records(stage.events, before)
    stage.feed(clicks(range(5, 6)))
    stage.wait_committed()
    assert "lately_events_lost_total 0.0" in worker.text("/metrics")
    worker.stop()

    # --to-latest, over two unread clicks of each user
    stage.feed(clicks(range(6, 8)))
    stage.client.set_offsets(stage.group, stage.events, stage.client.ends(stage.events))
    worker = stage.start().wait_ready()
    assert "a tool has set the group's offsets past events" in worker.tail()
    assert f"lately_events_lost_total {2 * len(USERS)}.0" in worker.text("/metrics")
    worker.stop()
    assert actions(stage) == {6}

    # and back, as the line says: what was read before changes nothing
    stage.client.set_offsets(stage.group, stage.events, before)
    worker = stage.start().wait_ready()
    stage.wait_committed()
    assert actions(stage) == {8}
    assert +worker.outcomes() == {"applied": 2 * len(USERS), "replayed": len(USERS)}
    worker.stop()

    stage.client.delete_group(stage.group)
    worker = stage.start().wait_ready()
    stage.wait_committed()
    assert +worker.outcomes() == {"replayed": 3 * len(USERS)}
    assert actions(stage) == {8}
    worker.stop()
