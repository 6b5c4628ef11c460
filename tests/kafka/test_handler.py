"""The group runs any partition handler: one that counts recovers, ingests, commits and revokes."""

import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kafka.broker import ROOT
from tests.kafka.client import Client
from tests.kafka.message import Message
from tests.kafka.process import Process, wait_until
from tests.kafka.worker import environment

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

PARTITIONS = 4
WAIT_S = 60.0


class Counters:
    """Counting processes on a topic of their own, and what their group has committed."""

    def __init__(self, client: Client, folder: Path) -> None:
        self._client = client
        self._folder = folder
        self.topic = f"counted-{uuid.uuid4().hex[:8]}"
        self.group = f"counters-{uuid.uuid4().hex[:8]}"
        self.produced = 0
        self.running: list[Process] = []
        client.create_topic(self.topic, PARTITIONS)
        # The group's table has one, whether the handler uses it or not.
        client.create_topic(f"{self.group}-state-changelog", PARTITIONS, cleanup_policy="compact")

    def start(self, name: str) -> Process:
        """A member with a directory of this name."""
        arguments = [self._client.bootstrap, self.topic, self.group]
        command = [
            *(sys.executable, "-m", "tests.kafka.counting", *arguments),
            *(str(self._folder / name), str(PARTITIONS)),
        ]
        env = {**environment({}), "PYTHONPATH": str(ROOT)}
        self.running.append(Process(command, self._folder / f"{name}.log", env))
        return self.running[-1]

    def produce(self, records: int) -> None:
        """This many more records, over all partitions."""
        numbers = range(self.produced, self.produced + records)
        self._client.produce(
            self.topic, [Message(n % PARTITIONS, n, b"k", b"%d" % n) for n in numbers]
        )
        self.produced += records

    def counts(self) -> dict[int, tuple[int, int]]:
        """Per partition, the committed offset and the committed count."""
        found = self._client.commits(self.group, self.topic)
        return {n: (offset, int(metadata)) for n, (offset, metadata) in found.items()}

    def wait_counted(self) -> None:
        """Wait until every record is counted and committed, in each partition exactly once."""
        ends = self._client.ends(self.topic)
        expected = {number: (end, end) for number, end in ends.items() if end}
        assert wait_until(lambda: self.counts() == expected, WAIT_S), (
            f"committed {self.counts()}, expected {expected}\n"
            + "\n".join(process.tail() for process in self.running)
        )


@pytest.fixture
def counters(client: Client, tmp_path: Path) -> Iterator[Counters]:
    found = Counters(client, tmp_path)
    yield found
    for process in found.running:
        process.close()


def test_a_handler_that_counts_counts_every_record_once_over_rebalances_and_a_kill(
    counters: Counters,
) -> None:
    first = counters.start("first")
    counters.produce(400)
    counters.wait_counted()  # ingest and commit

    second = counters.start("second")  # half of the partitions are revoked and recovered
    counters.produce(400)
    counters.wait_counted()

    first.kill()  # no revocation: the second takes over after the session timeout
    counters.produce(400)
    counters.wait_counted()

    again = counters.start("first")
    counters.produce(400)
    second.terminate()  # commits what it has counted, and leaves
    assert second.wait(WAIT_S) == 0, second.tail()
    counters.wait_counted()
    assert again.exit_code is None
