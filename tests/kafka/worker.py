"""The worker: one real worker process, started, watched, asked and killed from outside."""

import os
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.kafka.broker import ROOT, free_port
from tests.kafka.process import Process, wait_until

READY_S = 60.0
LATELY = str(Path(sys.executable).with_name("lately"))
Settings = dict[str, str]  # without the prefix LATELY_, in lower case


def environment(settings: Settings) -> dict[str, str]:
    """Our environment with these settings, and no other of Lately's."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("LATELY_")}
    return {**ours, **{f"LATELY_{name.upper()}": value for name, value in settings.items()}}


class Worker(Process):
    """A worker; ``mutant`` names a defect of `tests.kafka.mutants` to run it with.

    Or one of another such module: ``tests.chaos.sabotage slow``.
    """

    def __init__(
        self,
        bootstrap: str,
        artifact: Path,
        state_dir: Path,
        log: Path,
        settings: Settings,
        mutant: str | None = None,
        http: str | None = None,
    ) -> None:
        self.http = http or f"127.0.0.1:{free_port()}"
        self.state_dir = state_dir
        module, _, name = (mutant or "").rpartition(" ")
        defect = [sys.executable, "-m", module or "tests.kafka.mutants", name]
        command: Sequence[str] = [
            *(defect if mutant else [LATELY]),
            "worker",
            *("--bootstrap", bootstrap),
            *("--artifact", str(artifact)),
            *("--state-dir", str(state_dir)),
            *("--http", self.http),
        ]
        super().__init__(command, log, {**environment(settings), "PYTHONPATH": str(ROOT)})

    def status(self, path: str) -> int | None:
        """The status that the worker answers with; None when it does not answer."""
        try:
            with urllib.request.urlopen(f"http://{self.http}{path}", timeout=2) as answer:
                code: int = answer.status
                return code
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return None

    def text(self, path: str) -> str:
        """What the worker answers."""
        with urllib.request.urlopen(f"http://{self.http}{path}", timeout=5) as answer:
            body: bytes = answer.read()
            return body.decode()

    def outcomes(self) -> Counter[str]:
        """Events by outcome, as its metrics have them."""
        lines = self.text("/metrics").splitlines()
        counts = [line.split('"') for line in lines if line.startswith("lately_events_total{")]
        return Counter({outcome: int(float(count[2:])) for _, outcome, count in counts})

    def wait_ready(self) -> "Worker":
        """Wait until it says that it is ready."""
        wait_until(lambda: self.exit_code is not None or self.status("/readyz") == 200, READY_S)
        if self.exit_code is not None or self.status("/readyz") != 200:
            raise AssertionError(f"the worker did not become ready:\n{self.tail()}")
        return self

    def stop(self, timeout_s: float = 10.0) -> None:
        """Ask it to end; it must do so in time, and well."""
        self.terminate()
        code = self.wait(timeout_s)
        assert code == 0, f"exit code {code} within {timeout_s:g} s of SIGTERM:\n{self.tail()}"
