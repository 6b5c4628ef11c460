"""The process: a child that writes its log to a file and never outlives the tests."""

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

POLL_S = 0.02

# Ends the child when its stdin closes, which the kernel sees to when the tests are killed.
_GUARD = 'read -r _; kill -9 "$1"'


def wait_until(condition: Callable[[], bool], timeout_s: float) -> bool:
    """Poll until the condition holds; False when it still does not at the deadline."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(POLL_S)
    return True


class Process:
    """A running command; stdout and stderr go to files, appended over restarts."""

    def __init__(
        self, command: Sequence[str], log: Path, env: dict[str, str] | None = None
    ) -> None:
        self.log = log
        self.errors = log.with_suffix(".err")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as out, self.errors.open("ab") as err:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=env,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self._popen.pid)], stdin=subprocess.PIPE
        )

    @property
    def pid(self) -> int:
        """The number that the system knows it by."""
        return self._popen.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._popen.poll()

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self._popen.kill()
        self._popen.wait()
        self.close()

    def terminate(self) -> None:
        """Ask it to end."""
        self.signal(signal.SIGTERM)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        self._popen.send_signal(number)

    def wait(self, timeout_s: float) -> int | None:
        """Its exit code; None when it has not ended in time."""
        try:
            return self._popen.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None

    def close(self, grace_s: float = 10.0) -> None:
        """See that it is gone."""
        if self.exit_code is None:
            self.terminate()
            if self.wait(grace_s) is None:
                self._popen.kill()
                self._popen.wait()
        self._guard.kill()  # before the pipe closes, so that it kills nobody
        self._guard.communicate()

    def tail(self, lines: int = 25) -> str:
        """The last lines of both files, for a message about what went wrong."""
        texts = [file.read_text(errors="replace") for file in (self.log, self.errors)]
        return "\n".join(line for text in texts for line in text.splitlines()[-lines:])
