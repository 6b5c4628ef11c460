"""One topic's leader stalls: what was sent there is given up in its time, and nothing is lost.

A second broker leads one partition of each topic that a worker writes to. It is frozen, as a host
that lost its network is, while everything else goes on.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.artifact import items_of
from tests.kafka.broker import Broker, Unavailable, new_cluster_id
from tests.kafka.client import Client
from tests.kafka.message import Message
from tests.kafka.process import wait_until
from tests.kafka.stage import DEAD_BYTES, Stage
from tests.kafka.test_failures import click
from tests.kafka.worker import Worker
from tests.oracle.answers import Answers
from tests.oracle.hashing import partition_of
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

WELL, ILL = 1, 2  # the brokers


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[Broker, Broker]]:
    """Two brokers of one cluster; the first has the commits of every group."""
    cluster_id, fast = new_cluster_id(), {"broker.session.timeout.ms": "3000"}
    well, ill = (Broker(tmp_path / name, fast, cluster_id) for name in ("well", "ill"))
    ill.configure(
        {
            "process.roles": "broker",
            "node.id": str(ILL),
            "controller.quorum.voters": f"{WELL}@{well.controller}",
            "listeners": f"PLAINTEXT://{ill.bootstrap}",
        }
    )
    try:
        well.start()
        client = Client(well.bootstrap)
        client.create_topic("first", 1)
        client.set_offsets("first", "first", {0: 0})  # makes the topic of the commits
        ill.start()
        assert wait_until(lambda: client.brokers() == ILL, 60.0)
        client.close()
    except Unavailable as reason:
        pytest.skip(f"no Kafka of our own: {reason}")
    yield well, ill
    ill.thaw()
    for broker in (ill, well):
        broker.stop()


class Divided(Stage):
    """The leader of the scores' partition 0 is ill, and of the changelog's partition 1.

    Of the dead letters and receipts that of partition 0: letters of the events' partition 2 go
    there, and receipts of partition 3.
    """

    def open(self) -> None:
        """Make the topics."""
        compact = {"cleanup_policy": "compact"}
        create = self.client.create_topic_on
        create(self.events, [WELL] * 4, retention_ms="-1")
        create(self.scores, [ILL, WELL, WELL, WELL], **compact)
        create(self.changelog, [WELL, ILL, WELL, WELL], **compact)
        create(self.dead, [ILL, WELL], max_message_bytes=str(DEAD_BYTES))
        create(self.receipts, [ILL, WELL, WELL])


def user_of(partition: int) -> str:
    """A user whose events lie in this partition."""
    return next(f"u{n}" for n in range(1000) if partition_of(b"u%d" % n, 4) == partition)


def line_of(worker: Worker) -> str:
    """The line with which it ended, which is all that it said of the error."""
    said = worker.errors.read_text(encoding="utf-8").splitlines()
    assert not any("Traceback" in line for line in said), worker.tail()
    return said[-1]


def test_a_leader_that_stalls_ends_the_worker_in_the_delivery_timeout_whatever_was_sent(
    pair: tuple[Broker, Broker], artifact: Path, answers: Answers, tmp_path: Path
) -> None:
    (well, ill), item = pair, items_of(artifact)[0]
    client = Client(well.bootstrap)
    timeouts = {"delivery_timeout_s": "2", "session_timeout_s": "40"}
    stage = Divided(client, "stalls", tmp_path, artifact, timeouts)
    stage.open()
    events = [click(user_of(partition), item) for partition in range(4)]
    forget = json.dumps({"user_id": user_of(3), "action": "forget"}).encode()
    stalling: list[tuple[str, Message]] = [
        (stage.scores, events[0]),
        (stage.changelog, events[1]),
        (stage.dead, events[2]._replace(value=b"no JSON")),
        (stage.receipts, events[3]._replace(value=forget)),
    ]
    try:
        stage.feed(events)
        for topic, message in stalling:
            worker = stage.start().wait_ready()
            stage.wait_committed()
            ill.freeze()
            stage.feed([message])
            assert worker.wait(30.0) == 1, worker.tail()
            line = f"lately: {topic}: the broker has not acknowledged our records within"
            assert line_of(worker).startswith(line)
            ill.thaw()
            assert wait_until(lambda: client.brokers() == ILL, 60.0)
        worker = stage.start()
        stage.wait_quiet()

        # Nothing is in its time there, either: an orderly end, and a start.
        ill.freeze()
        stage.feed([events[0]._replace(value=b"no JSON"), *events[:1]])
        worker.stop()
        stage.start()
        ill.thaw()
        stage.wait_quiet()
        differences = examine(stage.evidence(), answers)
        assert not differences, report(differences)
    finally:
        ill.thaw()
        stage.close()
        client.close()
