"""Advice on missing packages works from where the user stands, and from the environment in use."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from model import errors
from model.errors import how_to_install

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _has_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")


def stand(
    monkeypatch: pytest.MonkeyPatch, folder: Path, environment: Path = ROOT / ".venv"
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "prefix", str(environment))


def test_who_stands_in_a_clone_is_told_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    stand(monkeypatch, ROOT)

    assert how_to_install() == "run `make setup`"


def test_who_stands_elsewhere_is_told_the_clone_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stand(monkeypatch, tmp_path)

    assert how_to_install("demo") == f"run `make demo` in {ROOT}"


def test_who_has_no_clone_is_told_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site-packages" / "model" / "errors.py"))

    assert how_to_install() == "run `make setup` in a clone of Lately"


@pytest.mark.parametrize("environment", [".venv-demo", ".venv-newest", "/opt/conda", "/usr"])
def test_who_uses_another_environment_is_told_the_one_that_will_have_the_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, environment: str
) -> None:
    stand(monkeypatch, ROOT, ROOT / environment)
    assert how_to_install() == "run `make setup`, and then .venv/bin/lately"

    stand(monkeypatch, tmp_path, ROOT / environment)
    assert how_to_install() == f"run `make setup` in {ROOT}, and then {ROOT}/.venv/bin/lately"


@pytest.mark.parametrize("target", ["setup", "setup GPU=1", "demo"])
def test_without_make_the_command_is_the_one_that_make_would_run(
    monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    stand(monkeypatch, ROOT, ROOT / ".venv-newest")
    monkeypatch.setattr(shutil, "which", lambda name: None)

    found = re.fullmatch("run `(?:GPU=1 )?(.*)`, and then (.*)/bin/lately", how_to_install(target))

    assert found is not None
    assert f"\t@{found[1]}\n" in (ROOT / "Makefile").read_text()
    assert found[1].split()[1] == found[2]
