"""The broker: one real Apache Kafka, in KRaft mode, for as long as the tests run."""

import base64
import fcntl
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path

from tests.kafka.process import Process, wait_until

ROOT = Path(__file__).parents[2]
JARS = ROOT / ".kafka" / "libs"
POM = Path(__file__).with_name("pom.xml")
START_S = 60.0

# The broker shares two cores with all the rest: a small heap, and the compiler that starts fast.
JAVA = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class Unavailable(Exception):
    """There is no Kafka to test on; says what is missing."""


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def listens(address: str) -> bool:
    """Whether somebody answers at HOST:PORT."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=1).close()
    except OSError:
        return False
    return True


def find_jars() -> Path:
    """Kafka's jars, fetched by Maven the first time; raises Unavailable when that cannot be."""
    if not shutil.which("java"):
        raise Unavailable("no java: install Java 17, or set LATELY_TEST_BOOTSTRAP")
    JARS.parent.mkdir(exist_ok=True)
    # In a fresh clone every process of the tests comes here at once: one fetches, the rest wait.
    with (JARS.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not JARS.is_dir():
            _fetch_jars()
    return JARS


def _fetch_jars() -> None:
    if not shutil.which("mvn"):
        raise Unavailable(f"no mvn, and no jars in {JARS}: install Maven")
    fresh = JARS.with_name("libs-unfinished")
    shutil.rmtree(fresh, ignore_errors=True)
    fetch = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies"]
    done = subprocess.run(
        [*fetch, f"-DoutputDirectory={fresh}"], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Unavailable(f"mvn failed: {(done.stdout + done.stderr).strip()[-500:]}")
    fresh.rename(JARS)  # at once, so that half a fetch is never taken for the whole


def new_cluster_id() -> str:
    """A random id, as Kafka wants it."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


class Broker:
    """A broker on free ports with its data in ``folder``; constructing it only stores things."""

    def __init__(
        self,
        folder: Path,
        settings: dict[str, str] | None = None,
        cluster_id: str | None = None,
        format_options: Sequence[str] = (),
        java_options: Sequence[str] = (),
    ) -> None:
        self._folder = folder
        self._format_options, self._java_options = format_options, java_options
        self._port, self._controller_port = free_port(), free_port()
        self._settings = settings or {}
        self._cluster_id = cluster_id or new_cluster_id()
        self._command: list[str] = []
        self._process: Process | None = None

    @property
    def bootstrap(self) -> str:
        """HOST:PORT to connect to."""
        return f"127.0.0.1:{self._port}"

    @property
    def controller(self) -> str:
        """HOST:PORT of its controller."""
        return f"127.0.0.1:{self._controller_port}"

    def configure(self, settings: dict[str, str]) -> None:
        """Set more properties, before `start`."""
        self._settings = {**self._settings, **settings}

    def start(self, wait: bool = True) -> None:
        """Format the storage, start, and wait until it listens."""
        jars = find_jars()
        self._folder.mkdir(parents=True, exist_ok=True)
        config = self._folder / "server.properties"
        config.write_text("".join(f"{k}={v}\n" for k, v in self._properties().items()))
        java = ["java", *JAVA, *self._java_options, "-cp", f"{jars}/*"]
        # With "=", for one in 64 ids starts like an option.
        format_storage = ["kafka.tools.StorageTool", "format", f"--cluster-id={self._cluster_id}"]
        format_storage += ["-c", str(config), *self._format_options]
        subprocess.run([*java, *format_storage], capture_output=True, check=True)
        self._command = [*java, "kafka.Kafka", str(config)]
        self.resume(wait)

    def resume(self, wait: bool = True) -> None:
        """Start it with the data that it has, and wait until it listens."""
        self._process = Process(self._command, self._folder / "broker.log")
        if wait:
            self.wait_listening()

    def wait_listening(self) -> None:
        """Wait until it listens; of several brokers one alone may not get so far."""
        process = self._process
        assert process is not None, "it was started"
        wait_until(lambda: listens(self.bootstrap) or process.exit_code is not None, START_S)
        if process.exit_code is not None or not listens(self.bootstrap):
            raise RuntimeError(f"the broker did not start:\n{process.tail()}")

    def stop(self) -> None:
        """End it; the data stays in the folder."""
        if self._process is not None:
            self._process.close()

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None, "it was started"
        self._process.kill()

    def freeze(self) -> None:
        """Let it do nothing until `thaw`."""
        assert self._process is not None, "it was started"
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None, "it was started"
        self._process.signal(signal.SIGCONT)

    def _properties(self) -> dict[str, str]:
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": (
                f"PLAINTEXT://{self.bootstrap},CONTROLLER://127.0.0.1:{self._controller_port}"
            ),
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": str(self._folder / "data"),
            "offsets.topic.replication.factor": "1",
            "offsets.topic.num.partitions": "4",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
            # What is read back must still be there: nothing is compacted while a test runs.
            "log.cleaner.enable": "false",
            **self._settings,
        }
