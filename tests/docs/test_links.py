"""The documents: where they lead to is there, and their examples are what we write and take."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.docs.blocks import Block, blocks

ROOT = Path(__file__).parents[2]
SCHEMAS = ROOT / "stream" / "schemas"
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "benchmarks" / "README.md",
    *(ROOT / "docs").rglob("*.md"),
]
SOURCES = [path for folder in ("stream", "model") for path in (ROOT / folder).rglob("*.py")]
A_HASH = "0" * 32


def names(paths: list[Path]) -> list[str]:
    return [str(path.relative_to(ROOT)) for path in paths]


@pytest.mark.parametrize("path", DOCUMENTS, ids=names(DOCUMENTS))
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    targets = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", text)
    inside = [target for target in targets if not target.startswith(("https://", "http://"))]

    assert [target for target in inside if not is_there(path, target)] == []


def is_there(document: Path, target: str) -> bool:
    file, _, heading = target.partition("#")
    path = document.parent / file if file else document
    if path.is_dir():
        return any(path.iterdir())
    return path.is_file() and (not heading or heading in anchors(path))


def anchors(document: Path) -> set[str]:
    """What a heading is called in a link, as code hosts make it."""
    text = document.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_documents_that_the_code_names_are_there() -> None:
    named = {
        (path.name, document)
        for path in SOURCES
        for document in re.findall(r"docs/[\w/-]+\.md", path.read_text(encoding="utf-8"))
    }

    assert [(name, document) for name, document in named if not (ROOT / document).is_file()] == []


def schema(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))


def example() -> Any:
    (block,) = (block for block in blocks(ROOT / "README.md") if block.language == "json")
    return json.loads(block.text.replace('"score_id": "…"', f'"score_id": "{A_HASH}"'))


def test_the_score_of_the_readme_fits_the_schema_and_shows_all_of_it() -> None:
    score, words = example(), schema("score")
    text = (ROOT / "README.md").read_text(encoding="utf-8")

    jsonschema.Draft202012Validator(words).validate(score)
    assert set(score) == set(words["required"])
    optional = set(words["properties"]) - set(words["required"])
    assert {name for name in optional if f"`{name}`" not in text} == set()
    assert score["valid_until"] == score["as_of"]["ts"] + score["intent"]["horizon_s"] * 1000


def test_the_fields_of_an_event_in_the_readme_are_those_of_the_schema() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", text, re.MULTILINE)
    fields = {field for row in rows for field in re.findall(r"`(\w+)`", row)}

    assert fields == set(schema("event")["properties"])


def test_blocks_are_found_with_their_commands(tmp_path: Path) -> None:
    document = tmp_path / "a.md"
    document.write_text("Text\n```sh\none\necho x |\n  two \\\n  --three\n```\n\n```\nart\n```\n")

    first, second = blocks(document)

    assert first.commands() == ["one", "echo x |\n  two \\\n  --three"]
    assert second == Block("", "art\n", 9)
