"""A console that lacks a character shows another, and ends no command."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from stream.cli.console import print_every_character
from tests.stream.forked_command import ForkedCommands

TABLE = "┌─┬┐│ ⠋ └"
WRITTEN = "✓ 98 % ━━━─── i1… – ε=8 é ж 商品 🛒 \udcff"


def shown(text: str, encoding: str, monkeypatch: pytest.MonkeyPatch) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    print_every_character()
    print(text, end="", flush=True)
    return stream.buffer.getvalue().decode(encoding)


@pytest.mark.parametrize(
    ("encoding", "expected"),
    [
        (
            "ascii",
            "+ 98 % ###--- i1~ - e=8 \\u00e9 \\u0436 \\u5546\\u54c1 \\ud83d\\uded2 \\udcff",
        ),
        # The code page of western Windows has the dots, the dash and é.
        ("cp1252", "+ 98 % ###--- i1… – e=8 é \\u0436 \\u5546\\u54c1 \\ud83d\\uded2 \\udcff"),
        ("utf-8", WRITTEN.replace("\udcff", "\\udcff")),
    ],
)
def test_what_an_encoding_lacks_is_shown_by_what_it_has(
    monkeypatch: pytest.MonkeyPatch, encoding: str, expected: str
) -> None:
    assert shown(WRITTEN, encoding, monkeypatch) == expected


def test_a_table_keeps_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(TABLE, "ascii", monkeypatch) == "+-++| * +"


def test_an_escape_is_one_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a line of JSON that was written as text stays one."""
    line = shown('{"user_id": "é商🛒"}', "ascii", monkeypatch)

    assert json.loads(line) == {"user_id": "é商🛒"}


COMMANDS = [
    ["--help"],
    ["worker", "--help"],
    ["train", "--help"],
    ["convert", "--help"],
    ["config", "show", "--group", "gruppe-ж", "--events-topic", "é…"],
    ["artifact", "inspect", "model/demo_artifact"],
    ["similar", "no-such-✓", "--artifact", "model/demo_artifact"],
    ["replay", "no-such-ж.jsonl"],
]


Run = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Runs a command line, by an interpreter that starts with these variables."""
    with ExitStack() as interpreters:

        @cache
        def with_variables(**variables: str) -> ForkedCommands:
            started = ForkedCommands(
                tmp_path_factory.mktemp("forked"), {"LANG": "C", "LC_ALL": "C", **variables}
            )
            return interpreters.enter_context(started)

        def run(command: list[str], **variables: str) -> "subprocess.CompletedProcess[bytes]":
            return with_variables(**variables).run(*command)

        yield run


def assert_no_traceback(done: "subprocess.CompletedProcess[bytes]") -> None:
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"Error" not in done.stderr.replace(b"Error: ", b"")
    assert done.stdout + done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command[:2]))
def test_no_command_ends_in_a_traceback_on_a_console_of_few_characters(
    command: list[str], encoding: str, run: Run
) -> None:
    assert_no_traceback(run(command, PYTHONIOENCODING=encoding))


@pytest.mark.parametrize(
    "command",
    [
        ["forget", "--file", "no-such-ж"],
        ["state", "get", "é", "--state-dir", "no-such-ж"],
        ["explain", "no-such-ж.jsonl", "i", "--artifact", "model/demo_artifact"],
        ["together", "no-such-ж.csv"],
        ["convert", "table", "no-such-ж.csv", "--out", "no-such-ö.jsonl"],
    ],
    ids=lambda command: command[0],
)
def test_a_name_that_the_console_lacks_is_shown_by_escapes(command: list[str], run: Run) -> None:
    done = run(command, PYTHONIOENCODING="ascii", PYTHONUTF8="0")

    assert_no_traceback(done)
    assert b"lately: " in done.stderr and b"no-such-" in done.stderr


@pytest.mark.parametrize("columns", ["10", "20", "40"])
def test_help_is_shown_on_a_terminal_however_narrow(columns: str, run: Run) -> None:
    done = run(["worker", "--help"], COLUMNS=columns)

    assert_no_traceback(done)
    assert done.returncode == 0 and b"--bootstrap" in done.stdout
