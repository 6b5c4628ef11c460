"""Which core does the work for an event: what is asked for, and what is installed."""

from pathlib import Path

import pytest

from model import native
from stream.errors import SettingsError
from stream.settings import WorkerSettings
from stream.worker.core import core_of


@pytest.mark.parametrize(
    ("asked", "installed", "core"),
    [
        ("auto", True, "native"),
        ("auto", False, "python"),
        ("native", True, "native"),
        ("python", True, "python"),
        ("python", False, "python"),
    ],
)
def test_auto_takes_the_native_core_where_it_is_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, asked: str, installed: bool, core: str
) -> None:
    monkeypatch.setattr(native, "AVAILABLE", installed)

    assert core_of(WorkerSettings(state_dir=tmp_path, artifact=tmp_path, core=asked)) == core


def test_a_native_core_that_is_asked_for_and_missing_ends_the_start_in_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(native, "AVAILABLE", False)
    monkeypatch.setattr(native, "REASON", "no module of that name")

    with pytest.raises(SettingsError, match=r"--core native: .* is missing \(no module of that"):
        core_of(WorkerSettings(state_dir=tmp_path, artifact=tmp_path, core="native"))
