"""The decision records: numbered without a gap, short, and each in the table."""

import re
from pathlib import Path

import pytest

RECORDS = Path(__file__).parents[2] / "docs" / "adr"
PATHS = sorted(RECORDS.glob("[0-9]*.md"))
A_PAGE = 60  # lines


def test_numbers_have_no_gap() -> None:
    assert [int(path.name[:4]) for path in PATHS] == list(range(1, len(PATHS) + 1))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_a_record_bears_its_number_and_stays_under_a_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    assert text.startswith(f"# {int(path.name[:4])}. ")
    assert text.count("\n") < A_PAGE


def test_the_table_lists_every_record_in_order_with_a_status() -> None:
    text = (RECORDS / "README.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| (\d+) \| \[[^]]+\]\(([^)]+)\) \| [^|]+ \| [^|]+ \|$", text, re.MULTILINE
    )

    assert rows == [(str(int(path.name[:4])), path.name) for path in PATHS]
