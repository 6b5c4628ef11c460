"""`lately config show`: each setting and its source, and never a secret."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from stream.cli.app import app
from stream.settings import WorkerSettings

CANARY = "canary-4b1d"
DEMO = Path(__file__).parents[3] / "model" / "demo_artifact"


def show(*flags: str) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["config", "show", "--json", *flags])
    assert result.exit_code == 0, result.output
    assert CANARY not in result.output
    page: dict[str, Any] = json.loads(result.output)
    return page


def test_every_setting_is_shown_and_none_has_to_be_given() -> None:
    page = show()

    assert list(page) == list(WorkerSettings.model_fields)
    assert page["group"] == {"value": "lately", "source": "default"}
    assert page["artifact"] == {"value": None, "source": "default"}
    assert page["actions"] == {"value": None, "source": "default"}


def test_the_actions_that_the_model_brings_are_shown(tmp_path: Path) -> None:
    brought = show("--artifact", str(DEMO))["actions"]
    given = show("--artifact", str(DEMO), "--actions", "view")["actions"]
    missing = show("--artifact", str(tmp_path))["actions"]

    assert brought == {"value": "click,cart,buy", "source": f"artifact {DEMO}"}
    assert given == {"value": "view", "source": "flag --actions"}
    assert missing == {"value": None, "source": f"artifact {tmp_path}, which cannot be read"}


def test_a_flag_wins_over_the_environment_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATELY_GROUP", "from-environment")
    monkeypatch.setenv("LATELY_HTTP", "127.0.0.1:9999")

    page = show("--group", "from-flag", "--no-exclude-seen")

    assert page["group"] == {"value": "from-flag", "source": "flag --group"}
    assert page["http"] == {"value": "127.0.0.1:9999", "source": "environment LATELY_HTTP"}
    assert page["exclude_seen"] == {"value": "false", "source": "flag --exclude-seen"}


def test_a_secret_is_asterisks_and_its_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert show()["sasl_password"] == {"value": None, "source": "default"}

    file = tmp_path / "password"
    file.write_text(CANARY)
    monkeypatch.setenv("LATELY_SASL_PASSWORD_FILE", str(file))
    assert show()["sasl_password"] == {
        "value": "********",
        "source": f"file {file} by LATELY_SASL_PASSWORD_FILE",
    }

    monkeypatch.setenv("LATELY_SASL_PASSWORD", CANARY)  # wins over the file
    assert show()["sasl_password"] == {
        "value": "********",
        "source": "environment LATELY_SASL_PASSWORD",
    }


def test_for_people_it_is_a_line_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATELY_SASL_PASSWORD", CANARY)

    lines = CliRunner().invoke(app, ["config", "show"]).output.splitlines()

    assert len(lines) == len(WorkerSettings.model_fields)
    (line,) = (line for line in lines if line.startswith("sasl_password "))
    assert line.split() == ["sasl_password", "********", "environment", "LATELY_SASL_PASSWORD"]
