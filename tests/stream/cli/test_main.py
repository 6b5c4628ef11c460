"""The command line: a fast --help, errors in one line, and the documented exit codes."""

import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest

from model.errors import ModelError
from stream.cli import app as commands
from stream.cli import main as cli
from stream.cli.help import COMMANDS, SETTINGS
from stream.errors import BrokerError, LatelyError, SettingsError, StateError
from tests.stream.forked_command import ForkedCommands

Lately = Callable[..., "subprocess.CompletedProcess[str]"]
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


@pytest.fixture(scope="module")
def lately(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lately]:
    """Runs a command line, with these variables of the environment."""

    def run(*words: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        done = forked.run(*words, **variables)
        said = (done.stdout.decode(), done.stderr.decode())
        return subprocess.CompletedProcess(words, done.returncode, *said)

    with ForkedCommands(tmp_path_factory.mktemp("forked")) as forked:
        yield run


def one_line(text: str) -> str:
    assert text.count("\n") == 1, text
    return text


def test_a_worker_loads_no_rich_and_collects_no_garbage_while_it_imports() -> None:
    script = (
        "import gc, sys; sys.argv = ['lately', 'worker', '--artifact', 'a', '--state-dir', 's']\n"
        "from types import SimpleNamespace\n"
        "from stream.cli.main import main\n"
        "def run(settings):\n"
        "    rich = [name for name in sys.modules if name.startswith('rich.')]\n"
        "    print('structlog' in sys.modules, rich, gc.isenabled())\n"
        "sys.modules['stream.worker.process'] = SimpleNamespace(run=run)\n"
        "main()"
    )

    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert (result.stdout, result.stderr) == ("True [] False\n", "")


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


def test_a_setting_that_is_missing_is_one_line_and_exit_code_2(lately: Lately) -> None:
    result = lately("worker", "--artifact", "model")

    assert result.returncode == 2
    assert one_line(result.stderr).startswith("lately: state_dir: ")


def test_a_command_that_is_none_is_usage_and_exit_code_2(lately: Lately) -> None:
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


def test_the_version_is_that_of_the_package(lately: Lately) -> None:
    result = lately("--version")

    assert (result.returncode, result.stdout) == (0, f"lately {version('lately')}\n")


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["worker", "--log-format", "json"], {}, True),
        (["worker", "--log-format=json", "--group", "g"], {}, True),
        (["worker"], {"LATELY_LOG_FORMAT": "json"}, True),
        (["worker", "--log-format", "plain"], {"LATELY_LOG_FORMAT": "json"}, False),
        (["worker", "--log-format"], {}, False),
        (["worker"], {}, False),
        # People read these, also in a container that logs JSON.
        (["doctor"], {"LATELY_LOG_FORMAT": "json"}, False),
        ([], {"LATELY_LOG_FORMAT": "json"}, False),
    ],
)
def test_a_worker_that_is_to_log_json_is_known_before_its_settings_are(
    arguments: list[str], environment: dict[str, str], expected: bool
) -> None:
    assert cli.logs_json(arguments, environment) is expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--artifact", "model"], "state_dir: "),  # a setting
        (["--nonsense"], "No such option: --nonsense"),  # the usage
    ],
)
def test_a_worker_that_logs_json_is_refused_in_json(
    arguments: list[str], said: str, lately: Lately
) -> None:
    result = lately("worker", "--log-format", "json", *arguments)

    line = json.loads(one_line(result.stderr))
    assert result.returncode == 2
    assert line["event"].startswith(said)
    assert line["level"] == "critical"
    assert {"logger", "timestamp"} <= line.keys()


def test_a_variable_that_is_no_setting_is_one_line_before_what_the_command_says(
    lately: Lately,
) -> None:
    result = lately("config", "show", LATELY_BATCH_DEADLINE="5")

    assert result.returncode == 0
    assert one_line(result.stderr) == (
        "lately: LATELY_BATCH_DEADLINE is no setting, and has no effect; "
        "did you mean LATELY_BATCH_DEADLINE_MS?\n"
    )


def test_the_help_of_a_worker_shows_its_settings_in_groups(lately: Lately) -> None:
    said = lately("worker", "--help").stdout
    titles = re.findall(r"^([A-Z].*):$", said, re.MULTILINE)

    assert titles == ["Options", *SETTINGS]
    kafka = said.partition("\nKafka:\n")[2].partition("\nEvents:\n")[0]
    assert "--bootstrap HOST:PORT" in kafka
    assert "--delivery-timeout-s SECONDS" in kafka
    assert "--ttl-s" not in kafka
    assert "VALUE" not in said


@pytest.mark.parametrize(
    ("command", "shown"),
    [
        ("demo", "--seconds SECONDS "),
        ("demo", "--events-per-s NUMBER "),
        ("train", "--minutes MINUTES"),
        ("train", "--out PATH"),
        ("topics", "--partitions N "),
        ("replay", "[OPTIONS] {EVENTS}...\n"),
        ("replay", "  EVENTS  "),
    ],
)
def test_what_stands_behind_an_option_can_be_read(command: str, shown: str, lately: Lately) -> None:
    said = lately(command, "--help").stdout

    assert shown in said
    assert re.findall(r"<[a-z]+[^>]*>", said) == []


def test_the_help_lists_the_commands_in_the_order_of_use(lately: Lately) -> None:
    said = lately("--help").stdout

    assert re.findall(r"^([A-Z].*):$", said, re.MULTILINE) == ["Options", *COMMANDS]
    places = [said.index(f"\n  {name} ") for names in COMMANDS.values() for name in names]
    assert places == sorted(places)
    assert "..." not in said.partition("Commands:")[0].partition("ARGS]...")[2]  # nothing is cut
