"""A command as a process of its own that is killed by SIGTERM in the middle of its work."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
DEADLINE_S = 150.0
_SIGNALS = (signal.SIGHUP, signal.SIGINT)


@contextmanager
def _no_signal_ignored() -> Iterator[None]:
    # A process inherits what is ignored, and nohup and a shell's background jobs ignore these.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class Command:
    """A running command; its temporary folders are made in ``temporary``."""

    def __init__(self, folder: Path, *words: str | Path) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        self._said = folder / "stderr"
        with self._said.open("wb") as said, _no_signal_ignored():
            self.process = subprocess.Popen(
                [sys.executable, *map(str, words)],
                cwd=ROOT,
                env={**os.environ, "TMPDIR": str(self.temporary)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
            )

    @property
    def said(self) -> str:
        return self._said.read_text()

    def left(self) -> list[Path]:
        """The temporary folders that are left, without the cache that torch makes at its import."""
        return [path for path in self.temporary.iterdir() if "torchinductor" not in path.name]

    def wait_until(self, at_work: Callable[[], object]) -> None:
        deadline_s = time.monotonic() + DEADLINE_S
        while not at_work():
            assert self.process.poll() is None, f"it ended before: {self.said}"
            assert time.monotonic() < deadline_s, f"it is not at work: {self.said}"
            time.sleep(0.01)

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)


@contextmanager
def running(folder: Path, *words: str | Path) -> Iterator[Command]:
    command = Command(folder, *words)
    try:
        yield command
    finally:
        command.process.kill()
        command.process.communicate()


def lately(folder: Path, *words: str | Path) -> AbstractContextManager[Command]:
    return running(folder, "-m", "stream", *words)


def has_ended_cleanly(command: Command, number: int = signal.SIGTERM) -> None:
    name = signal.Signals(number).name
    assert command.end(number) == {"SIGTERM": 143, "SIGHUP": 129}[name], command.said
    assert command.said.splitlines()[-1] == f"lately: stopped by {name}"
    assert "Traceback" not in command.said
    assert command.left() == []
