"""The stage: one test's own topics, its workers, its load, and what is left of it in the end."""

import shutil
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from tests.kafka.client import Client
from tests.kafka.message import Message
from tests.kafka.process import wait_until
from tests.kafka.worker import Settings, Worker
from tests.oracle.evidence import Evidence

PARTITIONS = 4
DEAD_PARTITIONS = 2  # fewer than the source has, which is allowed
RECEIPT_PARTITIONS = 3
DEAD_BYTES = 2 << 20  # a dead letter is its message and more
QUIET_S = 90.0
ERASED_S = 15.0
_MARKER_END = b"\xc3"  # a state value that ends in MessagePack's true is a forget marker


class Stage:
    """Everything of one run, under names that no other run has."""

    def __init__(
        self,
        client: Client,
        name: str,
        folder: Path,
        artifact: Path,
        settings: Settings,
        partitions: int = PARTITIONS,
    ) -> None:
        self.client, self.folder, self.artifact = client, folder, artifact
        self.group = f"lately-{name}"
        self.events, self.scores, self.dead = (f"{name}.{t}" for t in ("events", "scores", "dead"))
        self.receipts = f"{name}.receipts"
        self.changelog = f"{self.group}-state-changelog"
        self.settings: Settings = {
            "group": self.group,
            "events_topic": self.events,
            "scores_topic": self.scores,
            "dead_topic": self.dead,
            "receipts_topic": self.receipts,
            "forget_marker_s": "0",  # what comes after it is looked at in a moment
            **settings,
        }
        self.interruptions = -1  # the first start replays nothing
        self.fed = 0
        self._partitions = partitions
        self._workers: list[Worker] = []

    def open(self) -> None:
        """Make the topics."""
        # The load is years old: a broker that keeps a week would delete it under our eyes.
        self.client.create_topic(self.events, self._partitions, retention_ms="-1")
        compact = {"cleanup_policy": "compact"}
        self.client.create_topic(self.scores, self._partitions, **compact)
        self.client.create_topic(self.changelog, self._partitions, **compact)
        self.client.create_topic(self.dead, DEAD_PARTITIONS, max_message_bytes=str(DEAD_BYTES))
        self.client.create_topic(self.receipts, RECEIPT_PARTITIONS)

    def close(self) -> None:
        """End the workers and remove what they left; the logs stay for a look."""
        for worker in self._workers:
            worker.close()
        self.client.delete_topics(
            self.events, self.scores, self.dead, self.receipts, self.changelog
        )
        for worker in self._workers:
            shutil.rmtree(worker.state_dir, ignore_errors=True)

    def start(self, name: str = "a", mutant: str | None = None, **settings: str) -> Worker:
        """Start a worker; the same name again is the same worker, come back to its state.

        It reaches the broker as we do, or as ``bootstrap`` among the settings says.
        """
        self.interruptions += 1
        worker = Worker(
            settings.pop("bootstrap", self.client.bootstrap),
            self.artifact,
            self.folder / f"state-{name}",
            self.folder / f"worker-{name}.log",
            {**self.settings, **settings},
            mutant,
        )
        return self.watch(worker)

    def watch(self, worker: Worker) -> Worker:
        """End this worker, too, when the stage closes."""
        self._workers.append(worker)
        return worker

    def feed(self, messages: Sequence[Message]) -> None:
        """Write messages, and wait for the broker to have them."""
        self.client.produce(self.events, messages)
        self.fed += len(messages)

    def flow(self, messages: Sequence[Message], per_s: float) -> "Future[None]":
        """Write messages in the background at a pace; await the result before the next."""
        self.fed += len(messages)
        return self.client.produce_at(self.events, messages, per_s)

    def progress(self) -> int:
        """How many scores and dead letters have been published."""
        return sum(self.client.ends(self.scores).values()) + sum(
            self.client.ends(self.dead).values()
        )

    def committed_all(self) -> bool:
        """Whether the group has committed the end of every partition."""
        ends = self.client.ends(self.events)
        committed = self.client.committed(self.group, self.events)
        return all(committed.get(partition, 0) == end for partition, end in ends.items())

    def wait_committed(self, timeout_s: float = QUIET_S) -> None:
        """Wait until the group has committed everything."""
        if not wait_until(self.committed_all, timeout_s):
            committed = self.client.committed(self.group, self.events)
            ends = self.client.ends(self.events)
            raise AssertionError(
                f"committed {committed} of {ends} after {timeout_s:g} s\n{self._workers[-1].tail()}"
            )

    def wait_quiet(self, timeout_s: float = QUIET_S) -> None:
        """Wait until all is committed, and the forgotten are deleted from the changelog."""
        self.wait_committed(timeout_s)
        erased_s = ERASED_S + float(self.settings["forget_marker_s"])
        if not wait_until(self._no_markers, erased_s):
            raise AssertionError(
                f"forget markers are still there {erased_s:g} s after the commit\n"
                f"{self._workers[-1].tail()}"
            )

    def _no_markers(self) -> bool:
        last = {record.key: record.value for record in self.client.read(self.changelog)}
        return not any(value and value.endswith(_MARKER_END) for value in last.values())

    def evidence(self) -> Evidence:
        """What is in Kafka now."""
        return Evidence(
            events_topic=self.events,
            n_partitions=self._partitions,
            n_dead_partitions=DEAD_PARTITIONS,
            n_receipt_partitions=RECEIPT_PARTITIONS,
            events=self.client.read(self.events),
            changelog=self.client.read(self.changelog),
            scores=self.client.read(self.scores),
            dead=self.client.read(self.dead),
            receipts=self.client.read(self.receipts),
            committed=self.client.committed(self.group, self.events),
            ends=self.client.ends(self.events),
            group=self.group,
            interruptions=max(0, self.interruptions),
        )
