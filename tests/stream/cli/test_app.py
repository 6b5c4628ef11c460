"""The command line passes its options to the worker, the demo and other commands."""

import sys
from pathlib import Path
from typing import Any, NoReturn

import pytest
from typer.testing import CliRunner

from stream import logs
from stream.cli.app import app
from stream.demo import demo
from stream.settings import WorkerSettings
from stream.worker import process


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(f"LATELY_{name.upper()}", raising=False)


def run(*words: str) -> int:
    return CliRunner().invoke(app, list(words), catch_exceptions=False).exit_code


def test_worker_configures_logging_before_it_runs_with_its_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened: list[Any] = []

    def end(settings: WorkerSettings) -> NoReturn:
        happened.append(settings)
        sys.exit(7)

    monkeypatch.setattr(logs, "configure", lambda *arguments: happened.append(arguments))
    monkeypatch.setattr(process, "run", end)

    code = run(
        *("worker", "--artifact", "m", "--state-dir", "s"),
        *("--log-format", "json", "--log-level", "error", "--no-idempotence"),
    )

    (logged, settings) = happened
    assert (code, logged) == (7, ("json", "error"))
    assert (settings.artifact, settings.state_dir) == (Path("m"), Path("s"))
    assert not settings.idempotence


@pytest.mark.parametrize(
    ("words", "options"),
    [
        ((), demo.Options()),
        (
            ("--seconds", "20", "--events-per-s", "5", "--shoppers", "9"),
            demo.Options(seconds=20.0, events_per_s=5.0, shoppers=9),
        ),
        (
            ("--seconds", "1", "--events-per-s", "1", "--shoppers", "1"),
            demo.Options(seconds=1.0, events_per_s=1.0, shoppers=1),
        ),
    ],
)
@pytest.mark.parametrize("code", [0, 1])
def test_demo_gets_its_options_and_returns_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], options: demo.Options, code: int
) -> None:
    given: list[demo.Options] = []

    def show(asked: demo.Options) -> int:
        given.append(asked)
        return code

    monkeypatch.setattr(demo, "demo", show)

    assert run("demo", *words) == code
    assert given == [options]


@pytest.mark.parametrize("flag", ["--seconds", "--events-per-s", "--shoppers"])
def test_demo_options_below_their_minimum_are_bad_usage(flag: str) -> None:
    assert run("demo", flag, "0") == 2


@pytest.mark.parametrize(
    ("options", "shopper_count"),
    [
        (demo.Options(events_per_s=50.0), 200 * 50),
        (demo.Options(events_per_s=0.1), 100),
        (demo.Options(events_per_s=50.0, shoppers=3), 3),
    ],
)
def test_shopper_count_follows_the_rate_unless_it_is_given(
    options: demo.Options, shopper_count: int
) -> None:
    assert options.shopper_count == shopper_count


@pytest.mark.parametrize(
    "words",
    [
        ("forget", "ann", "--timeout-s", "-1"),
        ("dead", "list", "--limit", "-1"),
        ("state", "rebuild", "-p", "-1", "--state-dir", "s"),
        ("topics", "--create", "--partitions", "0"),
        ("topics", "--create", "--replication", "0"),
        ("replay", "log.jsonl", "--skip", "-1"),
    ],
)
def test_numbers_below_their_minimum_are_bad_usage(words: tuple[str, ...]) -> None:
    assert run(*words) == 2
