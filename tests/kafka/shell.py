"""The shell: runs the commands of our documents as a reader would, in a folder of their own."""

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

from tests.kafka.process import Process, wait_until
from tests.kafka.worker import Settings, environment

RUN_S = 300.0
READY_S = 60.0
END_S = 10.0
BIN = Path(sys.executable).parent  # has `lately`
STAYS = ("lately worker", "lately watch", "kafka-console-consumer.sh")  # until Ctrl-C


class Shell:
    """Commands share the folder, which may hold programs too, and the environment.

    ``close`` ends what still runs.
    """

    def __init__(self, folder: Path, settings: Settings, **variables: str) -> None:
        self.folder = folder
        path = f"{folder}:{BIN}:{os.environ['PATH']}"
        self._env = {**environment(settings), **variables, "PATH": path}
        self._staying: dict[str, Process] = {}

    def do(self, command: str) -> str:
        """Run a command and return what it prints; one that stays is started, and prints later."""
        if command.startswith(STAYS):
            # exec: or a signal would end the shell alone.
            words = ["bash", "-c", f'cd "{self.folder}" && exec {command}']
            log = self.folder / "logs" / f"{len(list(self.folder.glob('logs/*.out')))}.out"
            self._staying[command] = Process(words, log, self._env)
            return ""
        done = subprocess.run(
            ["bash", "-c", f"set -o pipefail; {command}"],
            cwd=self.folder,
            env=self._env,
            capture_output=True,
            text=True,
            timeout=RUN_S,
            check=False,
        )
        said = f"{command}\n{done.stdout}{done.stderr}{self._tails()}"
        assert done.returncode == 0, f"exit code {done.returncode}: {said}"
        return done.stdout

    def printed(self, start: str) -> str:
        """What the staying command that starts so has printed until now."""
        (process,) = (p for command, p in self._staying.items() if command.startswith(start))
        return process.log.read_text(encoding="utf-8")

    def stays(self, start: str) -> bool:
        """Whether a staying command that starts so was started, and not ended."""
        return any(command.startswith(start) for command in self._staying)

    def end(self, start: str, code: int = 0) -> None:
        """End the staying command that starts so, as Ctrl-C does; it must exit with this code."""
        (command,) = (command for command in self._staying if command.startswith(start))
        process = self._staying.pop(command)
        process.signal(signal.SIGINT)
        found = process.wait(END_S)
        process.close()
        assert found == code, f"exit code {found} of {command}\n{process.tail()}"

    def wait(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Wait for something that the staying commands are to bring about."""
        assert wait_until(condition, timeout_s), f"no {what} in {timeout_s:g} s{self._tails()}"

    def wait_ready(self) -> None:
        """Wait until the worker says that it is ready."""
        self.wait(lambda: _answers(f"http://{self._env['LATELY_HTTP']}/readyz"), READY_S, "worker")

    def close(self) -> None:
        """End what still runs."""
        for process in self._staying.values():
            process.close()

    def _tails(self) -> str:
        return "".join(f"\n--- {command}\n{p.tail()}" for command, p in self._staying.items())


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
