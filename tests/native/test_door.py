"""The door to the native core: it opens to the version that this code was written for, alone."""

import importlib
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from model import native

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def reloads_the_door_at_the_end() -> Iterator[None]:
    yield
    importlib.reload(native)


def reload_with(monkeypatch: pytest.MonkeyPatch, core: ModuleType | None) -> None:
    monkeypatch.setitem(sys.modules, "lately_native", core)
    importlib.reload(native)
    monkeypatch.undo()


def core_of_version(version: str) -> ModuleType:
    core = ModuleType("lately_native")
    core.__version__ = version  # type: ignore[attr-defined]
    return core


def test_the_version_is_that_of_the_crate() -> None:
    crate = tomllib.loads((ROOT / "core/Cargo.toml").read_text())["package"]

    assert crate["version"] == native.VERSION


def test_the_core_of_this_version_is_available(monkeypatch: pytest.MonkeyPatch) -> None:
    reload_with(monkeypatch, core_of_version(native.VERSION))

    assert native.AVAILABLE
    assert native.REASON == ""


def test_one_of_another_version_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    reload_with(monkeypatch, core_of_version("0.0.1"))

    assert not native.AVAILABLE
    assert f"it has version 0.0.1, and {native.VERSION} is expected" == native.REASON


def test_without_a_core_the_reason_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    reload_with(monkeypatch, None)

    assert not native.AVAILABLE
    assert "; run `make native`" in native.REASON
