from pathlib import Path

import pytest

from model import errors
from model.errors import how_to_install

ROOT = Path(__file__).parents[2]


def test_who_stands_in_a_clone_is_told_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)

    assert how_to_install() == "run `make setup`"


def test_who_stands_elsewhere_is_told_the_clone_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)

    assert how_to_install("demo") == f"run `make demo` in {ROOT}"


def test_who_has_no_clone_is_told_to_get_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(errors, "__file__", str(tmp_path / "site-packages" / "model" / "errors.py"))

    assert how_to_install() == "run `make setup` in a clone of Lately"
