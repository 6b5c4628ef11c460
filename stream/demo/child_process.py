"""A child process that never outlives its parent, however that ends."""

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence

# Kills the child when stdin closes. The kernel closes it, however the parent ends.
GUARD = 'read -r line; kill -9 "$1"'


class Child:
    """A running process whose output is kept for ``last_lines``.

    Raises OSError when the program cannot be run.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 — closed in stop()
        # Each child has its own session: Ctrl-C reaches only us, and we stop the children in order.
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
        """Its process id."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, or the negative signal that ended it; None while it runs."""
        return self._child.poll()

    def last_lines(self, lines: int = 1) -> str:
        """The last lines of its output, stdout and stderr together."""
        # pread, because a read would move the file offset at which the child writes.
        size = os.fstat(self._log.fileno()).st_size
        tail = os.pread(self._log.fileno(), 20_000, max(0, size - 20_000))
        written = tail.decode(errors="replace").strip().splitlines()
        return "\n".join(written[-lines:]) or "no output"

    def stop(self, grace_s: float = 0.0) -> int:
        """Send SIGTERM, kill it after ``grace_s`` (0: at once), and return its exit code."""
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
