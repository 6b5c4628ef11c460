"""The run: one fault on one seed, from the first event to the oracle's word."""

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from random import Random
from typing import Any

from stream.failpoints import VARIABLE as FAILPOINT
from tests.chaos.cluster import Cluster
from tests.chaos.disk import disk_differences
from tests.chaos.dump import write_evidence
from tests.chaos.ledger import lifetime_differences
from tests.chaos.readiness import Readiness
from tests.chaos.result import Result
from tests.chaos.sabotage import flag_of
from tests.kafka.broker import ROOT
from tests.kafka.message import Message
from tests.kafka.process import wait_until
from tests.kafka.profiles import PROFILES
from tests.kafka.stage import Stage
from tests.kafka.worker import Worker
from tests.oracle.record import Record

PER_S = 1500  # events a second while something is done to the worker
READY_S = 60.0  # until a worker is given up that is not ready
GIVEN_S = 30.0  # from the heal until it must be
MARKER_S = 20.0  # longer than what a worker that is cut off has sent is on its way
ORACLE_S = 300.0


class Run:
    """What a fault may do: feed, start and end workers, reach for the brokers, say what it did."""

    def __init__(
        self,
        fault: str,
        seed: int,
        cluster: Cluster,
        folder: Path,
        artifact: Path,
        messages: Sequence[Message],
    ) -> None:
        self.fault, self.seed, self.cluster, self.folder = fault, seed, cluster, folder
        self.random = Random(f"{fault} {seed}")
        self.messages = list(messages)
        self.workers: dict[str, Worker] = {}
        profile = {**PROFILES[seed % len(PROFILES)], "session_timeout_s": "6"}
        name = f"chaos-{fault}-{seed}-{int(time.time())}"
        self.stage = Stage(cluster.client, name, folder, artifact, profile)
        self.notes: list[str] = []
        self.differences: dict[str, int] = {}
        self.first = ""
        self.models = [artifact]  # that may serve
        self.kept_changelog: list[Record] = []  # what a fault has deleted from the topic
        self._alone_since: dict[str, dict[int, int]] = {}  # offsets that a lone worker began at
        self._watches: list[tuple[str, Readiness]] = []
        self._unwell: list[tuple[str, float, float]] = []
        self._start_s = self._healed_s = time.monotonic()

    # --- what a fault does --------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Write into the timeline."""
        self.notes.append(f"{time.monotonic() - self._start_s:8.2f} s  {text}")

    def take(self, count: int) -> list[Message]:
        """The next messages of the load."""
        taken, self.messages = self.messages[:count], self.messages[count:]
        return taken

    def feed(self, count: int) -> None:
        """Write so many messages at once."""
        self.stage.feed(self.take(count))

    def flow(self, count: int, per_s: float = PER_S) -> "Future[None]":
        """Write so many messages at a pace, in the background."""
        return self.stage.flow(self.take(count), per_s)

    def start(
        self, name: str = "a", *, crash_at: str = "", sabotage: str = "", **settings: Any
    ) -> Worker:
        """Start a worker; ``crash_at`` is a failpoint, ``scores_sent:3``.

        ``sabotage`` is what `tests.chaos.sabotage` does to it, from when `harm` says so.
        """
        settings.setdefault("bootstrap", self.cluster.bootstrap_of(name))
        if crash_at:
            settings[FAILPOINT.removeprefix("LATELY_").lower()] = crash_at
        self._alone_since.clear()
        if not self.workers:
            committed = self.cluster.client.committed(self.stage.group, self.stage.events)
            self._alone_since[name] = committed
        mutant = f"tests.chaos.sabotage {sabotage}" if sabotage else None
        worker = self.stage.start(name, mutant, **settings)
        self.workers[name] = worker
        self._watches.append((name, Readiness(worker)))
        self.say(f"worker {name} starts {crash_at}")
        return worker

    def harm(self, worker: Worker, on: bool = True) -> None:
        """Begin or end the sabotage of a worker."""
        self.say("sabotage" if on else "no sabotage any more")
        flag = flag_of(worker.state_dir)
        flag.touch() if on else flag.unlink(missing_ok=True)

    def kill(self, name: str = "a") -> None:
        """Crash a worker."""
        self.say(f"worker {name} is killed")
        self.workers.pop(name).kill()

    def stop(self, name: str = "a") -> None:
        """Ask a worker to end; it must, in time and well."""
        self.say(f"worker {name} is stopped")
        self.workers.pop(name).stop()

    def refuses(self, worker: Worker, *words: str, timeout_s: float = READY_S) -> None:
        """The worker must end by itself, not well, with one line that has these words."""
        code = worker.wait(timeout_s)
        errors = worker.errors.read_text(encoding="utf-8", errors="replace").splitlines()
        said = errors[-1] if errors else ""
        ended = code is not None and code > 0
        if not ended or "Traceback" in "\n".join(errors) or not all(w in said for w in words):
            raise AssertionError(f"expected one line with {words}, found exit {code}: {said!r}")
        self.say(f"the worker refuses: {said}")
        self.workers = {name: one for name, one in self.workers.items() if one is not worker}

    def unwell(self, start_s: float, end_s: float, name: str = "a") -> None:
        """Between these two moments this worker lies if it says that it is ready."""
        self._unwell.append((name, start_s, end_s))

    def revive(self) -> None:
        """Start again who has ended by itself, as a supervisor does; or one, if nobody runs."""
        for name, worker in list(self.workers.items()):
            if worker.exit_code is not None:
                self.say(f"worker {name} has ended with {worker.exit_code}: {worker.tail(1)}")
                self.workers.pop(name)
                self.start(name)
        if not self.workers:
            self.start()

    def healed(self) -> None:
        """From now on everything is well again: recovery counts from here."""
        self.say("healed")
        self._healed_s = time.monotonic()

    def let_records_come_late(self) -> None:
        """A worker is cut off: what it has sent may arrive long after, and bring nobody back."""
        self.stage.settings["forget_marker_s"] = f"{MARKER_S:g}"
        self.stage.interruptions += 2  # who meets it takes its partitions anew

    # --- what comes after the fault -----------------------------------------------------------

    def finish(self, oracle_s: float = ORACLE_S) -> Result:
        """Feed the rest, wait for quiet, ask the oracle, which may take so long."""
        self.revive()
        self.stage.feed(self.take(len(self.messages)))
        ready_s = self._wait_ready()
        wait_until(self._quiet, GIVEN_S + READY_S)
        self.stage.wait_quiet(GIVEN_S)
        quiet_s = time.monotonic() - self._healed_s
        self.say(f"quiet, {quiet_s:.1f} s after the heal")
        self._count("O7", int(ready_s > GIVEN_S), "not ready in time")
        lies = sum(
            watch.ready_between(start_s, end_s)
            for name, start_s, end_s in self._unwell
            for watched, watch in self._watches
            if watched == name
        )
        self._count("O7", lies, "samples that say ready while it cannot be")
        for name, worker in self.workers.items():
            if name in self._alone_since:
                since = self._alone_since[name]
                self._count("O8", *lifetime_differences(worker, self.stage, since))
        directories = [worker.state_dir for worker in self.workers.values()]
        for name in list(self.workers):
            self.stop(name)
        evidence = self.stage.evidence()
        evidence = evidence._replace(changelog=_joined(self.kept_changelog, evidence.changelog))
        write_evidence(self.folder, evidence)
        self._ask_the_oracle(oracle_s)
        self._count("O6", *disk_differences(directories, evidence))
        return Result(
            self.fault,
            self.seed,
            self.stage.fed,
            self.differences,
            round(ready_s, 2),
            round(quiet_s, 2),
            self.first,
        )

    def close(self) -> None:
        """End what runs, and write down what happened."""
        for _, watch in self._watches:
            watch.close()
        self.stage.close()
        (self.folder / "timeline.txt").write_text("\n".join(self.notes) + "\n", encoding="utf-8")

    def _quiet(self) -> bool:
        self.revive()
        return self.stage.committed_all()

    def _wait_ready(self) -> float:
        def ready() -> bool:
            self.revive()
            return any(worker.status("/readyz") == 200 for worker in self.workers.values())

        wait_until(ready, GIVEN_S + READY_S)
        return time.monotonic() - self._healed_s

    def _count(self, check: str, differences: int, what: str) -> None:
        self.differences[check] = self.differences.get(check, 0) + differences
        if differences and not self.first:
            self.first = f"{check}: {differences} {what}"

    def _ask_the_oracle(self, timeout_s: float) -> None:
        command = [sys.executable, "-m", "tests.chaos.examiner", str(self.folder)]
        answer = subprocess.run(
            [*command, *map(str, self.models)],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=True,
            cwd=ROOT,
        )
        said = json.loads(answer.stdout.splitlines()[-1])
        for check, count in said["differences"].items():
            self._count(check, count, "differences")
        if said["first"]:
            self.first = said["first"]


def _joined(kept: list[Record], found: list[Record]) -> list[Record]:
    """What was deleted, then what is there, each partition in offset order."""
    known = {(record.partition, record.offset) for record in found}
    gone = [record for record in kept if (record.partition, record.offset) not in known]
    return sorted([*gone, *found], key=lambda record: (record.partition, record.offset))
