"""The threat model: each row names a control and the tests that hold it, and these exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECURITY = ROOT / "docs" / "security.md"


def rows() -> list[list[str]]:
    """The cells of each row of the threat model."""
    _, _, section = SECURITY.read_text(encoding="utf-8").partition("## What we defend")
    table, _, _ = section.partition("\n## ")
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def exists(test: str) -> bool:
    file, _, name = test.partition("::")
    path = ROOT / file
    if not path.is_file():
        return False
    text = path.read_text(encoding="utf-8")
    function = rf"{re.escape(name)}\(" if name else "test_"
    return bool(re.search(rf"^def {function}", text, re.MULTILINE))


@pytest.mark.parametrize("row", rows(), ids=lambda row: row[1])
def test_every_threat_has_a_control_and_a_test_that_is_there(row: list[str]) -> None:
    _, threat, control, tests = row
    named = re.findall(r"`(tests/[^`]+)`", tests)

    assert threat
    assert control
    assert named
    assert [test for test in named if not exists(test)] == []


def test_a_test_that_is_not_there_is_found() -> None:
    assert exists("tests/docs/test_threats.py::test_a_test_that_is_not_there_is_found")
    assert not exists("tests/docs/test_threats.py::test_a_test_that_is_not_there")  # but begins so
    assert not exists("tests/docs/test_nothing.py")
