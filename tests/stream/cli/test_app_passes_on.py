"""What the command line hands to the worker and to the demo, which run until they are stopped."""

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


def test_a_worker_logs_as_it_is_told_and_then_runs_with_its_settings(
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
def test_the_demo_is_as_large_as_it_is_asked_to_be_and_ends_with_its_code(
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
def test_a_demo_of_less_than_one_is_bad_usage(flag: str) -> None:
    assert run("demo", flag, "0") == 2


@pytest.mark.parametrize(
    ("options", "shopper_count"),
    [
        (demo.Options(events_per_s=50.0), 200 * 50),  # so many that none has to hurry
        (demo.Options(events_per_s=0.1), 100),
        (demo.Options(events_per_s=50.0, shoppers=3), 3),
    ],
)
def test_there_are_enough_shoppers_unless_told_how_many(
    options: demo.Options, shopper_count: int
) -> None:
    assert options.shopper_count == shopper_count


@pytest.mark.parametrize(
    "words",
    [
        ("forget", "ann", "--timeout-s", "-1"),
        ("dead", "list", "--limit", "-1"),
        ("state", "rebuild", "-p", "-1", "--state-dir", "s"),
    ],
)
def test_what_cannot_be_less_than_nothing_is_bad_usage(words: tuple[str, ...]) -> None:
    assert run(*words) == 2
