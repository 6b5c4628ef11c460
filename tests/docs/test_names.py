"""The documents: every command, option, setting, metric and alert that they name exists."""

import re
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
import yaml
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from stream.cli.app import app
from stream.commands.forget import DOUBTS
from stream.metrics import REASONS, Metrics
from stream.settings import WorkerSettings
from tests.docs.blocks import blocks

ROOT = Path(__file__).parents[2]
README, OPERATIONS = ROOT / "README.md", ROOT / "docs" / "operations.md"
OTHERS = ("cold-start", "privacy", "real-data", "scoring-options", "security", "understanding")
DOCUMENTS = [README, OPERATIONS, *(ROOT / "docs" / f"{name}.md" for name in OTHERS)]
# Read by the tests, or by the shell of a document, and not by a setting.
OTHER_VARIABLES = {"LATELY_TEST_BOOTSTRAP", "LATELY_DATA_DIR"}
SECRET_FILES = {
    f"LATELY_{name.upper()}_FILE"
    for name, field in WorkerSettings.model_fields.items()
    if SecretStr in get_args(field.annotation)
}


def texts() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)


def command_lines() -> list[str]:
    """Everything between backticks, or in a shell block, that begins with `lately`."""
    inline = re.findall(r"`(lately [^`\n]+)`", texts())
    fenced = [c for d in DOCUMENTS for b in blocks(d) if b.language == "sh" for c in b.commands()]
    return sorted({*inline, *(line for line in fenced if line.startswith("lately "))})


def find(command: Any, words: list[str]) -> Any:
    """The command that these words call; None where there is no such subcommand."""
    subcommands = getattr(command, "commands", None)
    if subcommands is None:
        return command
    inner = subcommands.get(words[0]) if words else None
    return None if inner is None else find(inner, words[1:])


@pytest.mark.parametrize("line", command_lines())
def test_a_command_that_is_written_of_exists_with_its_options(line: str) -> None:
    words = line.split()[1:]

    command = find(typer.main.get_command(app), words)

    assert command is not None
    options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= options | {"--help"}


def test_options_and_variables_are_settings() -> None:
    fields = set(WorkerSettings.model_fields)
    variables = set(re.findall(r"\bLATELY_[A-Z_]*[A-Z]\b", texts()))
    variables -= OTHER_VARIABLES | SECRET_FILES
    written = re.findall(r"`(--[a-z-]+)", OPERATIONS.read_text(encoding="utf-8"))
    of_other_tools = {"--create", "--property"}

    assert {name.removeprefix("LATELY_").lower() for name in variables} <= fields
    switched = {o[2:].removeprefix("no-") for o in written if o not in of_other_tools}
    assert {name.replace("-", "_") for name in switched} <= fields


def test_defaults_of_settings_are_those_of_the_code() -> None:
    # **`--name`** (12,000 …) is how the operations page says a default.
    text = OPERATIONS.read_text(encoding="utf-8")
    found = re.findall(r"`--([a-z-]+)`\*{0,2} \(([\d,]+)\)|\(`--([a-z-]+)`, ([\d,]+)\)", text)
    said = {(a or b).replace("-", "_"): int((x or y).replace(",", "")) for a, x, b, y in found}

    assert len(said) >= 5
    assert said == {name: WorkerSettings.model_fields[name].default for name in said}


def test_metrics_that_are_written_of_exist() -> None:
    shown = Metrics(CollectorRegistry()).render().decode()
    written = re.findall(r"`(lately_[a-z_]+)`", texts())

    assert written
    assert [name for name in written if name not in shown] == []


def test_every_alert_is_explained_and_no_other() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yml").read_text())
    alerts = {
        rule["alert"]: rule["labels"]["severity"]
        for group in rules["groups"]
        for rule in group["rules"]
    }
    text = OPERATIONS.read_text(encoding="utf-8")

    assert dict(re.findall(r"^\| `(Lately\w+)` \| (\w+) \|", text, re.MULTILINE)) == alerts


def test_every_line_that_an_erase_file_must_not_have_is_explained() -> None:
    text = OPERATIONS.read_text(encoding="utf-8")
    table = text.partition("| a line that | because |\n|---|---|\n")[2].partition("\n\n")[0]

    assert [row.split("|")[1].strip() for row in table.splitlines()] == list(DOUBTS)


def test_every_reason_of_a_dead_letter_is_explained() -> None:
    section = OPERATIONS.read_text(encoding="utf-8").partition("## Dead letters")[2]
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", section, re.MULTILINE)

    assert sorted(r for row in rows for r in re.findall(r"`(\w+)`", row)) == sorted(REASONS)


@pytest.mark.parametrize("document", sorted((ROOT / "docs").rglob("*.md")), ids=lambda p: p.name)
def test_files_that_are_written_of_exist(document: Path) -> None:
    # `stream/kafka/lease.py`, also with the name of a test after it; folders end in a slash.
    text = document.read_text(encoding="utf-8")
    written = re.findall(r"`((?:stream|model|tests|deploy|benchmarks)/[\w./-]+)", text)

    assert [name for name in written if not (ROOT / name).exists()] == []
