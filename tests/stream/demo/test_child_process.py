"""A child process is stopped; that it ends with its parent is tested with the broker."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from stream.demo.child_process import Child

STUBBORN = """
import signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
signal.pause()
"""


def test_a_child_that_obeys_ends_with_its_own_exit_code() -> None:
    child = Child(["/bin/sh", "-c", "trap 'exit 3' TERM; echo ready; while :; do :; done"])

    while child.last_lines() != "ready":
        pass

    assert child.stop(grace_s=10) == 3


def test_a_child_that_will_not_end_is_killed() -> None:
    child = Child([sys.executable, "-c", STUBBORN])
    while child.last_lines() != "deaf":
        pass

    assert child.stop(grace_s=0.05) == -signal.SIGKILL


def test_the_last_lines_are_those_of_both_outputs() -> None:
    child = Child(["/bin/sh", "-c", "echo one; echo two >&2; echo three"])
    while child.exit_code is None:
        pass

    assert child.last_lines() == "three"
    assert child.last_lines(2) == "two\nthree"
    assert child.stop() == 0


def test_the_environment_is_ours_with_the_additions() -> None:
    child = Child(["/bin/sh", "-c", "echo $EXTRA ${PATH:+path}"], {"EXTRA": "more"})
    while child.exit_code is None:
        pass

    assert child.last_lines() == "more path"
    child.stop()


def test_neither_a_child_nor_its_guard_is_left_behind() -> None:
    child = Child(["/bin/sh", "-c", "exit 0"])
    pids = [child.pid, child._guard.pid]

    child.stop()

    for pid in pids:
        with pytest.raises(ChildProcessError):  # nobody of that number is ours to wait for
            os.waitpid(pid, os.WNOHANG)


def test_the_guard_ends_before_the_id_of_its_child_may_be_used_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # The kernel gives it to another process once the child is waited for.
    child = Child(["/bin/sh", "-c", "exit 7"])
    guards: list[int | None] = []
    wait = child._child.wait

    def waited_for(timeout: float | None = None) -> int:
        guards.append(child._guard.returncode)
        return wait(timeout)

    monkeypatch.setattr(child._child, "wait", waited_for)
    monkeypatch.setattr(child._child, "poll", None)  # waits as well

    while child.exit_code is None:
        pass

    assert guards[0] == -signal.SIGKILL
    assert child.stop() == 7


def test_a_child_that_ended_is_not_sent_another_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    child = Child(["/bin/sh", "-c", "exit 7"])
    while child.exit_code is None:
        pass
    monkeypatch.setattr(os, "kill", None)

    assert child.stop(grace_s=10) == 7


def open_files() -> set[str]:
    """The numbers of the files that we have open; none where the system does not tell."""
    folder = Path("/proc/self/fd")
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@pytest.mark.parametrize("started", [0, 1], ids=["child", "guard"])
def test_a_child_whose_guard_cannot_start_is_not_left_behind(
    started: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[subprocess.Popen[bytes]] = []
    files = open_files()
    start = subprocess.Popen

    def start_so_many(*arguments: Any, **options: Any) -> subprocess.Popen[bytes]:
        if len(made) == started:
            raise OSError(12, os.strerror(12))
        made.append(start(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(subprocess, "Popen", start_so_many)

    with pytest.raises(OSError, match="Cannot allocate memory") as kept:
        Child(["/bin/sh", "-c", "while :; do sleep 1; done"])

    assert kept
    assert [child.returncode for child in made] == [-signal.SIGKILL] * started
    assert open_files() <= files
