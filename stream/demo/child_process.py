"""A child process that never outlives its parent, however that ends."""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack

# Kills the child when stdin closes. The kernel closes it, however the parent ends.
GUARD = 'read -r line; kill -9 "$1"'
_POLL_S = 0.01


class Child:
    """A running process whose output is kept for ``last_lines``.

    Raises OSError when the program cannot be run.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 — closed in stop()
        with ExitStack() as failed:
            failed.callback(self._log.close)
            # Each child has its own session: Ctrl-C reaches only us, and we stop the children in
            # order.
            self._child = subprocess.Popen(
                command,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                start_new_session=True,
            )
            failed.callback(self._child.wait)
            failed.callback(self._child.kill)
            self._guard = subprocess.Popen(
                ["/bin/sh", "-c", GUARD, "guard", str(self._child.pid)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            failed.pop_all()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._child.pid

    @property
    def exit_code(self) -> int | None:
        """Its exit code, or the negative signal that ended it; None while it runs."""
        if self._child.returncode is None:
            if not self._has_ended():
                return None
            # Before `wait`, after which another process may get its id: that must not be killed.
            self._end_guard()
        return self._child.wait()

    def _has_ended(self) -> bool:
        if not hasattr(os, "waitid"):  # macOS, until Python 3.13
            return self._child.poll() is not None
        flags = os.WEXITED | os.WNOWAIT | os.WNOHANG
        return os.waitid(os.P_PID, self.pid, flags) is not None

    def _end_guard(self) -> None:
        self._guard.kill()
        self._guard.wait()
        if self._guard.stdin:
            self._guard.stdin.close()

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
            os.kill(self.pid, signal.SIGTERM)
            deadline_s = time.monotonic() + grace_s
            while self.exit_code is None and time.monotonic() < deadline_s:
                time.sleep(_POLL_S)
        while (code := self.exit_code) is None:
            os.kill(self.pid, signal.SIGKILL)
            time.sleep(_POLL_S)
        self._log.close()
        return code
