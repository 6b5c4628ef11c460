"""The command line: a fast --help, errors in one line, and the documented exit codes."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from model.errors import ModelError
from stream.cli import app as commands
from stream.cli import main as cli
from stream.errors import BrokerError, LatelyError, SettingsError, StateError

HEAVY = (
    "torch",
    "transformers",
    "onnxruntime",
    "polars",
    "numpy",
    "faust",
    "aiokafka",
    "rocksdict",
)


def lately(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "stream", *arguments],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def one_line(text: str) -> str:
    assert text.count("\n") == 1, text
    return text


def test_help_loads_nothing_heavy() -> None:
    script = (
        "import sys; sys.argv = ['lately', '--help']\n"
        "from stream.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        f"print([name for name in {HEAVY} if name in sys.modules], file=sys.stderr)"
    )

    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert result.stderr.strip() == "[]"
    assert "worker" in result.stdout


def test_a_setting_that_is_missing_is_one_line_and_exit_code_2() -> None:
    result = lately("worker", "--artifact", "model")

    assert result.returncode == 2
    assert one_line(result.stderr).startswith("lately: state_dir: ")


def test_a_command_that_is_none_is_usage_and_exit_code_2() -> None:
    result = lately("nonsense")

    assert result.returncode == 2
    assert "nonsense" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SettingsError("http: no port; set --http"), 2),
        (BrokerError("localhost:9092: no broker"), 1),
        (StateError("state: cannot write there"), 1),
        (LatelyError("something else"), 1),
        (ModelError("artifact: not one of ours"), 1),
    ],
)
def test_an_error_of_ours_is_one_line_on_stderr_and_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
) -> None:
    def fail(**_: str) -> None:
        raise error

    monkeypatch.setattr(commands, "app", fail)
    monkeypatch.setattr(signal, "signal", lambda *_: None)  # pytest keeps its own

    with pytest.raises(SystemExit) as end:
        cli.main()

    assert end.value.code == code
    assert capsys.readouterr() == ("", f"lately: {error}\n")
