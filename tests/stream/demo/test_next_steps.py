"""The commands that the demo ends with can be typed where the user stands."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from stream.demo import next_steps as module
from stream.demo.demo import ARTIFACT
from stream.demo.next_steps import next_steps

ROOT = Path(__file__).parents[3]


def test_in_a_clone_there_are_three_with_paths_from_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    inspect, doctor, setup = (step.command for step in next_steps(ARTIFACT))

    assert inspect.endswith("lately artifact inspect model/demo_artifact")
    assert doctor.endswith("lately doctor --artifact model/demo_artifact")
    assert setup == "make setup"


def test_elsewhere_paths_are_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)

    assert f"artifact inspect {ARTIFACT}" in next_steps(ARTIFACT)[0].command


def test_without_a_clone_there_is_nothing_to_make(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "__file__", str(tmp_path / "stream" / "demo" / "next_steps.py"))

    assert [step.command for step in next_steps(ARTIFACT) if "make" in step.command] == []


def test_the_first_can_be_run_as_it_stands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    program, *arguments = shlex.split(next_steps(ARTIFACT)[0].command)
    beside = Path(sys.executable).parent / "lately"

    assert program == "lately" or Path(program).resolve() == beside.resolve()
    command = [sys.executable, "-m", "stream", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
