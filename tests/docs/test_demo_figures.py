"""The figures of the demo's model in the documents: those of the artifact in the package."""

import pytest

from docs.demo_figures import DOCS, fenced, rows
from model.artifact.artifact import inspect
from model.synthetic.demo_artifact import FOLDER


def test_the_documents_show_the_demo_artifact_of_the_package() -> None:
    """After a new build: python -m docs.demo_figures."""
    shown = (DOCS / "understanding.md").read_text(encoding="utf-8")
    files = inspect(FOLDER)["files"]

    assert f"\ndemo {inspect(FOLDER)['version']}\n" in shown
    assert f"{sum(proof['size_bytes'] for proof in files.values()):,} bytes\n```" in shown


def test_only_the_block_that_begins_so_is_replaced() -> None:
    text = "```\nother\n```\n\n```\ndemo 1\nold\n```\nrest\n"

    assert fenced(text, "demo ", "demo 2\n") == "```\nother\n```\n\n```\ndemo 2\n```\nrest\n"
    with pytest.raises(ValueError, match="is 0 times in the document"):
        fenced(text, "none", "")


def test_only_the_rows_of_the_table_are_replaced() -> None:
    text = "| a | b |\n|---|---|\n| old | 1 |\n| older | 2 |\n\nrest\n"

    assert rows(text, "| a | b |", ["| new | 3 |"]) == (
        "| a | b |\n|---|---|\n| new | 3 |\n\nrest\n"
    )


def test_the_documents_have_the_tables_that_are_written() -> None:
    understanding = (DOCS / "understanding.md").read_text(encoding="utf-8")
    for start in ("demo ", "item ", "i00449: "):
        fenced(understanding, start, "")
    rows((DOCS / "scoring-options.md").read_text(encoding="utf-8"), "| options | 1 | 2 | 3 |", [])
