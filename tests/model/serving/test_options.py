"""Options: valid values, reading of item lists, and the version of a score."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.errors import OptionsError
from model.serving.options import ItemList, ScoringOptions

VERSION = "0a1b2c3d4e5f"


def listed(*ids: str, source: str = "list.txt") -> ItemList:
    return ItemList(source, frozenset(ids))


def refusal(path: Path) -> str:
    with pytest.raises(OptionsError) as error:
        ItemList.read(path)
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "content",
    ["i1\ni 2\n", "i1\r\ni 2", "\ufeffi1\n\n  \ni 2\n", '["i1", "i 2"]', '\n ["i 2","i1","i1"]\n'],
)
def test_a_list_is_lines_or_json(content: str, tmp_path: Path) -> None:
    path = tmp_path / "items"
    path.write_text(content, encoding="utf-8")

    assert ItemList.read(path) == ItemList(str(path), frozenset({"i1", "i 2"}))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"[1, 2]", "has a non-string"),
        (b'["i1"', "is not a JSON list"),
        (b"i1\n\xff\n", "not UTF-8"),
    ],
)
def test_a_list_that_cannot_be_read_is_refused(
    content: bytes, expected: str, tmp_path: Path
) -> None:
    path = tmp_path / "items"
    path.write_bytes(content)

    assert expected in refusal(path)


def test_a_missing_list_is_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "values",
    [
        {"max_per_category": 0},
        {"diversity": -0.1},
        {"diversity": 1.1},
        {"diversity": float("nan")},
        {"recency_temperature": 0.0},
        {"recency_temperature": 101.0},
        {"recency_temperature": float("nan")},
    ],
)
def test_values_out_of_range_are_refused(values: dict[str, Any]) -> None:
    (name,) = values

    with pytest.raises(OptionsError, match=f"{name} is .*, expected"):
        ScoringOptions(**values)


def test_without_options_the_version_is_unchanged() -> None:
    assert ScoringOptions().version(VERSION) == VERSION
    assert not ScoringOptions().choose_items


def test_a_vector_changes_no_score_and_no_version() -> None:
    assert ScoringOptions(user_vector=True).version(VERSION) == VERSION


def test_each_option_has_a_version_of_its_own() -> None:
    several: list[dict[str, Any]] = [
        {"exclude_seen": True},
        {"allowed_items": listed("a")},
        {"blocked_items": listed("a")},
        {"blocked_items": listed("a", "b")},
        {"blocked_items": listed("ab")},
        {"max_per_category": 2},
        {"diversity": 0.5},
        {"recency_temperature": 0.5},
    ]
    versions = {ScoringOptions(**values).version(VERSION) for values in several}

    assert len(versions) == len(several)
    assert all(version.startswith(f"{VERSION}+") for version in versions)
    assert all(len(version) == len(VERSION) + 1 + 6 for version in versions)


def test_a_version_depends_on_the_ids_of_a_list_not_on_its_file(tmp_path: Path) -> None:
    lines, array = tmp_path / "a", tmp_path / "b"
    lines.write_text("i2\ni1\n")
    array.write_text(json.dumps(["i1", "i2"]))

    versions = {
        ScoringOptions(blocked_items=ItemList.read(path)).version(VERSION)
        for path in (lines, array)
    }

    assert len(versions) == 1


def test_a_version_is_the_same_in_every_process() -> None:
    # A frozenset has another order in another process.
    options = ScoringOptions(
        exclude_seen=True, blocked_items=listed(*map(str, range(50))), diversity=1
    )

    assert options.version(VERSION) == f"{VERSION}+26431c"
