"""The secure stage: a test's own topics on the secure broker, and workers that come in by it."""

import subprocess
import threading
from pathlib import Path

from tests.kafka.broker import ROOT, find_jars
from tests.kafka.client import Client
from tests.kafka.secure_broker import SecureBroker
from tests.kafka.stage import Stage
from tests.kafka.worker import LATELY, Settings, Worker, environment

ACLS = ROOT / "deploy" / "kafka" / "acls.sh"


class SecureStage(Stage):
    """A stage whose workers come in by a secured listener, with what a client must set for it."""

    def __init__(
        self, broker: SecureBroker, client: Client, name: str, folder: Path, artifact: Path
    ) -> None:
        super().__init__(client, name, folder, artifact, {"batch_deadline_ms": "20"})
        self._broker = broker

    def enter(self, listener: str, credentials: Settings, mutant: str | None = None) -> Worker:
        """Start a worker that comes in by this listener."""
        self.interruptions += 1
        worker = Worker(
            self._broker.address(listener),
            self.artifact,
            self.folder / "state",
            self.folder / "worker.log",
            {**self.settings, **credentials},
            mutant,
        )
        return self.watch(worker)

    def command(
        self, listener: str, credentials: Settings, *words: str
    ) -> "subprocess.CompletedProcess[str]":
        """Run another command of `lately`, coming in the same way."""
        return subprocess.run(
            [LATELY, *words],
            env=self._environment(listener, credentials),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def first_line(
        self, listener: str, credentials: Settings, timeout_s: float, *words: str
    ) -> str:
        """The first line that a command prints which would go on without end."""
        process = subprocess.Popen(
            [LATELY, *words],
            env=self._environment(listener, credentials),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        # A command that says nothing must not hold us for ever.
        patience = threading.Timer(timeout_s, process.kill)
        patience.start()
        try:
            assert process.stdout is not None and process.stderr is not None
            line = process.stdout.readline()
            assert line, f"no line within {timeout_s:g} s: {process.stderr.read()}"
            return line
        finally:
            patience.cancel()
            process.terminate()
            process.communicate()

    def _environment(self, listener: str, credentials: Settings) -> Settings:
        bootstrap = self._broker.address(listener)
        settings = {**self.settings, **credentials, "bootstrap": bootstrap}
        return {**environment(settings), "PYTHONPATH": str(ROOT)}

    def grant(self, role: str, user: str) -> None:
        """Run our script of access control lists."""
        self._run([str(ACLS), role, f"User:{user}"], KAFKA_ACLS=" ".join(_acl_command()))

    def alter(self, verb: str, user: str, operation: str, *resource: str) -> None:
        """Give or take (``--add``, ``--remove``) one right."""
        asks = ["--force"] if verb == "--remove" else []
        right = ["--allow-principal", f"User:{user}", "--operation", operation, *resource]
        bootstrap = ["--bootstrap-server", self._broker.bootstrap]
        self._run([*_acl_command(), *bootstrap, verb, *asks, *right])

    def _run(self, command: list[str], **variables: str) -> None:
        env = environment(self.settings)
        done = subprocess.run(
            command,
            env={**env, "BOOTSTRAP": self._broker.bootstrap, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def _acl_command() -> list[str]:
    fast = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
    return ["java", *fast, "-cp", f"{find_jars()}/*", "org.apache.kafka.tools.AclCommand"]
