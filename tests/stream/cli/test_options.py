"""Settings as options: one for each except secrets, each with its default and its variable."""

from pathlib import Path
from typing import Annotated

import pytest
import typer
from typer.testing import CliRunner, Result

from stream.cli.options import with_settings
from stream.errors import SettingsError
from stream.settings import WorkerSettings

SECRETS = {"sasl_password"}


@pytest.fixture
def taken() -> list[tuple[WorkerSettings, str, bool]]:
    return []


@pytest.fixture
def app(taken: list[tuple[WorkerSettings, str, bool]]) -> typer.Typer:
    app = typer.Typer(rich_markup_mode=None)  # as in our app: rich would read [200; …] as a style

    @app.command()
    @with_settings(WorkerSettings)
    def look(
        settings: WorkerSettings,
        user: Annotated[str, typer.Argument()] = "nobody",
        loud: Annotated[bool, typer.Option("--loud")] = False,
    ) -> None:
        """Look at it."""
        taken.append((settings, user, loud))

    return app


def invoke(app: typer.Typer, *arguments: str) -> Result:
    # Wide, so that no option is broken over two lines.
    return CliRunner().invoke(app, list(arguments), env={"COLUMNS": "400", "TERMINAL_WIDTH": "400"})


NEEDED = ("--artifact", "model", "--state-dir", "state")


def test_flags_become_settings_and_the_commands_own_parameters_follow(
    app: typer.Typer, taken: list[tuple[WorkerSettings, str, bool]]
) -> None:
    result = invoke(app, *NEEDED, "--batch-deadline-ms", "25", "--no-idempotence", "u1", "--loud")

    assert result.exit_code == 0, result.output
    ((settings, user, loud),) = taken
    assert (settings.artifact, settings.batch_deadline_ms) == (Path("model"), 25)
    assert (settings.idempotence, user, loud) == (False, "u1", True)


def test_a_switch_that_is_not_given_leaves_the_default_and_one_that_is_wins(
    app: typer.Typer,
    taken: list[tuple[WorkerSettings, str, bool]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    invoke(app, *NEEDED)
    monkeypatch.setenv("LATELY_IDEMPOTENCE", "false")
    invoke(app, *NEEDED)
    invoke(app, *NEEDED, "--idempotence")

    assert [settings.idempotence for settings, _, _ in taken] == [True, False, True]


@pytest.mark.parametrize("name", sorted(set(WorkerSettings.model_fields) - SECRETS))
def test_every_setting_has_an_option_with_its_meaning_and_its_variable(
    app: typer.Typer, name: str
) -> None:
    help_text = " ".join(invoke(app, "--help").output.split())

    assert f"--{name.replace('_', '-')}" in help_text
    assert f"LATELY_{name.upper()}]" in help_text


@pytest.mark.parametrize("name", sorted(SECRETS))
def test_a_secret_is_no_option(app: typer.Typer, name: str) -> None:
    flag = f"--{name.replace('_', '-')}"

    assert flag not in invoke(app, "--help").output
    assert invoke(app, *NEEDED, flag, "x").exit_code == 2


def test_defaults_and_choices_stand_in_the_help(app: typer.Typer) -> None:
    help_text = " ".join(invoke(app, "--help").output.split())

    assert "[200; LATELY_BATCH_DEADLINE_MS]" in help_text
    assert "[required; LATELY_ARTIFACT]" in help_text
    assert "default: those the model knows [unset; LATELY_ACTIONS]" in help_text
    assert "onnx|torch|null" in help_text


def test_a_bad_value_is_a_settings_error_not_a_usage_of_the_library(app: typer.Typer) -> None:
    result = invoke(app, *NEEDED, "--batch-deadline-ms", "soon")

    assert isinstance(result.exception, SettingsError)
    assert "--batch-deadline-ms" in str(result.exception)


def test_the_name_and_the_help_are_the_commands_own() -> None:
    @with_settings(WorkerSettings)
    def look(settings: WorkerSettings) -> None:
        """Look at it."""

    assert (look.__name__, look.__doc__) == ("look", "Look at it.")
