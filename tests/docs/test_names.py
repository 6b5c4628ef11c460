"""The documents: every command, option, setting, metric and alert that they name exists."""

import importlib.util
import re
import shlex
from functools import cache
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
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("[bcd]*/README.md")]
CODE = [
    ROOT / name for name in ("stream", "model", "tests", "benchmarks", "deploy", "docs", "core")
]
# Read by the tests, by what installs, or by the shell of a document, and not by a setting.
OTHER_VARIABLES = {
    "LATELY_TEST_BOOTSTRAP",
    "LATELY_DATA_DIR",
    "LATELY_FAILPOINT",
    "LATELY_AUDIT",
}
WRITTEN_WHEN_RUN = "benchmarks/results"
MODULES = {"lately_native"}  # not metrics
VARIABLES = {f"LATELY_{name.upper()}" for name in WorkerSettings.model_fields}
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


def find(command: Any, words: list[str]) -> tuple[Any, list[str]]:
    """The command that these words call, or the group of some, and the rest of them."""
    inner = getattr(command, "commands", {}).get(words[0]) if words else None
    return (command, words) if inner is None else find(inner, words[1:])


@pytest.mark.parametrize("line", command_lines())
def test_a_command_that_is_written_of_exists_with_its_options(line: str) -> None:
    command, rest = find(typer.main.get_command(app), line.split()[1:])

    options = {o for p in command.params for o in (*p.opts, *p.secondary_opts)}
    assert {word for word in rest if word.startswith("--")} <= options | {"--help", "--version"}
    # A group alone is named, not called.
    assert not hasattr(command, "commands") or not rest or rest[0].startswith("--")


def shell_lines() -> list[str]:
    """Each call of `lately` in a shell block, without what stands around it in a pipe."""
    commands = [c for d in DOCUMENTS for b in blocks(d) if b.language == "sh" for c in b.commands()]
    parts = [p.strip() for c in commands for p in re.split(r"\||&&|;|>", c.replace("\\\n", " "))]
    called = [re.match(r"(?:[A-Z_]+=\S+ )*(?:\S*/)?(lately .*)", part, re.DOTALL) for part in parts]
    return sorted({found[1] for found in called if found})


@pytest.mark.parametrize("line", shell_lines())
def test_a_command_of_a_shell_block_is_taken_as_it_is_printed(line: str) -> None:
    # By the parser of the command line: arguments that lack, or whose values are none, too.
    words = shlex.split(line, comments=True)[1:]
    command, rest = find(typer.main.get_command(app), words)

    with command.make_context(command.name, [word.replace("$", "") for word in rest]) as context:
        assert context.params


@cache
def words_of_code() -> frozenset[str]:
    files = [p for folder in CODE for p in folder.rglob("*") if p.suffix in {".py", ".rs", ".sh"}]
    files += [ROOT / name for name in ("pyproject.toml", "Makefile", "Dockerfile")]
    files += [*(ROOT / "deploy").rglob("*.yml"), ROOT / "docker-compose.yml"]
    return frozenset(re.findall(r"\w+", "\n".join(p.read_text(encoding="utf-8") for p in files)))


# Where others' columns and variables are named.
FOREIGN = {"test_new_item", "LD_PRELOAD", "MALLOC_ARENA_MAX", "aborted_transactions", "csv"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_names_of_the_code_are_in_the_code(document: Path) -> None:
    # `Pipeline.drain`, `fault_of`, `test_fold`: each word of what looks like a name.
    text = document.read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    written = set(re.findall(r"`([A-Za-z_][\w.]*?)(?:\(\))?`", text))
    known = {"", *words_of_code(), *VARIABLES, *FOREIGN}

    # The keys of a partition begin with the letter of their kind.
    unknown = {n for n in written for word in n.split(".") if not {word, f"m{word}"} & known}
    assert unknown == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_modules_and_targets_that_are_run_are_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    shown = "\n".join([*re.findall(r"`([^`]+)`", text), *(b.text for b in blocks(document))])
    targets = set(re.findall(r"^([a-z][\w-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    modules = {name.strip(".") for name in re.findall(r"python3?\s+-m\s+([\w.]+)", text)}

    assert {name for name in modules if importlib.util.find_spec(name) is None} == set()
    assert set(re.findall(r"^(?:\$ )?make ([a-z][\w-]*)", shown, re.MULTILINE)) <= targets


def test_options_and_variables_are_settings() -> None:
    fields = set(WorkerSettings.model_fields)
    variables = set(re.findall(r"\bLATELY_[A-Z_]*[A-Z]\b", texts()))
    for path in (ROOT / "docker-compose.yml", ROOT / "Dockerfile", ROOT / "deploy" / "nightly.sh"):
        variables |= set(re.findall(r"\bLATELY_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8")))
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
    written = set(re.findall(r"\b(lately_[a-z_]*[a-z])\b", texts())) - MODULES

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


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_files_that_are_written_of_exist(document: Path) -> None:
    # `stream/kafka/lease.py`, also with the name of a test after it; folders end in a slash.
    text = document.read_text(encoding="utf-8")
    written = re.findall(r"`((?:stream|model|tests|deploy|benchmarks)/[\w./-]+)", text)

    named = [name for name in written if not name.startswith(WRITTEN_WHEN_RUN)]

    assert [name for name in named if not (ROOT / name).exists()] == []
