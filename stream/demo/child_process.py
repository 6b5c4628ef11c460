"""A child process: it ends when we say so, and never outlives us, however we end."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

# Kills the child when stdin closes, which the kernel sees to, however its parent ends.
GUARD = 'read -r line; kill -9 "$1"'


class Child:
    """A process with its output kept for ``last_words``; it has started when this returns.

    Raises OSError when the program cannot be run.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 — closed in stop()
        # Sessions of their own: Ctrl-C is for us, who end the children in good order.
        self._child = subprocess.Popen(
            command,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "guard", str(self._child.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        """Its process id, for looking at it from outside."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """What it ended with (negative: the signal), None while it runs."""
        return self._child.poll()

    def last_words(self, lines: int = 1) -> str:
        """The last lines it wrote, stdout and stderr together."""
        # pread, because the child writes at the same file offset that a read would move.
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), 20_000, max(0, size - 20_000))
        written = tail.decode(errors="replace").strip().splitlines()
        return "\n".join(written[-lines:]) or "it said nothing"

    def stop(self, grace_s: float = 0.0) -> int:
        """Ask it to end, kill it when it has not within ``grace_s``; gives the exit code."""
        if grace_s and self.exit_code is None:
            self._child.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(grace_s)
        self._child.kill()
        code = self._child.wait()
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin:
            self._guard.stdin.close()
        self._log.close()
        return code
