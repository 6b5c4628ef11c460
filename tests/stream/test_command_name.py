"""Commands in messages can be typed as they stand, wherever the environment is."""

import subprocess
import sys
from pathlib import Path

import pytest

from stream.command_name import as_typed, command_name


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A command in an environment that is not on PATH."""
    command = tmp_path / "my env" / "bin" / "lately"
    command.parent.mkdir(parents=True)
    command.touch(0o755)
    return command


def call(monkeypatch: pytest.MonkeyPatch, typed: str, path: str = "/usr/bin:/bin") -> None:
    monkeypatch.setattr(sys, "argv", [typed, "doctor"])
    monkeypatch.setenv("PATH", path)


def test_who_has_it_on_the_path_is_told_the_name(
    monkeypatch: pytest.MonkeyPatch, installed: Path
) -> None:
    call(monkeypatch, str(installed), str(installed.parent))

    assert as_typed("run `lately topics --create`") == "run `lately topics --create`"


def test_who_has_it_elsewhere_is_told_the_path(
    monkeypatch: pytest.MonkeyPatch, installed: Path
) -> None:
    monkeypatch.chdir(installed.parents[2])
    call(monkeypatch, "my env/bin/lately")
    assert as_typed("`lately dead list` or `lately topics`") == (
        "`'my env/bin/lately' dead list` or `'my env/bin/lately' topics`"
    )

    monkeypatch.chdir("/")
    call(monkeypatch, str(installed))
    assert as_typed("`lately topics`") == f"`'{str(installed)[1:]}' topics`"


def test_who_has_another_one_on_the_path_is_told_which(
    monkeypatch: pytest.MonkeyPatch, installed: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other" / "lately"
    other.parent.mkdir()
    other.touch(0o755)
    monkeypatch.chdir(tmp_path)
    call(monkeypatch, "my env/bin/lately", str(other.parent))

    assert command_name() == "'my env/bin/lately'"


def test_a_module_that_was_run_is_told_the_command_beside_its_python(
    monkeypatch: pytest.MonkeyPatch, installed: Path
) -> None:
    monkeypatch.chdir(installed.parents[2])
    monkeypatch.setattr(sys, "executable", str(installed.parent / "python"))
    call(monkeypatch, "/anywhere/stream/__main__.py")
    assert command_name() == "'my env/bin/lately'"

    installed.unlink()
    assert command_name() == "lately"


def test_a_message_without_a_command_stays_as_it_is() -> None:
    assert as_typed("a `later` one, and lately") == "a `later` one, and lately"


def test_an_error_of_a_command_names_commands_as_they_were_typed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: Path
) -> None:
    log = tmp_path / "log.csv"
    log.write_text("customer_id,sku,event,time\nc1,s1,view,2026-01-01\n")
    code = f"import sys; sys.argv[0] = {str(installed)!r}; from stream.cli.main import main; main()"

    done = subprocess.run(
        [sys.executable, "-c", code, "replay", str(log)],
        capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60,
    )  # fmt: skip

    assert f"`'my env/bin/lately' convert table {log} --map" in done.stderr
