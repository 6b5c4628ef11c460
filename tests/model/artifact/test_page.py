"""The page of an artifact: all figures as text, and no traceback where one is missing."""

import json
from pathlib import Path
from typing import Any

import pytest

from model.artifact.artifact import inspect, inspect_metrics
from model.artifact.page import page

DEMO = Path(__file__).parents[3] / "model" / "demo_artifact"

CALIBRATED = "intents, held out, on which they were calibrated"


@pytest.fixture
def fields() -> dict[str, Any]:
    return inspect(DEMO)


def lines(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines()]


def test_the_page_describes_the_model(fields: dict[str, Any]) -> None:
    text = page(fields, {})

    assert text.startswith(f"demo {fields['version']}\n")
    assert ["network", "transformer"] in lines(text)
    assert ["items", "600", "in", "24", "categories"] in lines(text)
    assert ["intents", "cart,", "buy", "within", "1,800", "s"] in lines(text)


def test_the_page_describes_the_data_with_readable_times(fields: dict[str, Any]) -> None:
    fields["data"] = {"events": 200_000, "from_ms": 1_790_000_000_000, "texts": {"name": "mini"}}

    text = page(fields, {})

    assert ["events", "200,000"] in lines(text)
    assert ["from", "2026-09-21", "14:13:20", "UTC"] in lines(text)
    assert ["texts", "name", "mini"] in lines(text)


def test_the_page_describes_the_build_and_the_sizes(fields: dict[str, Any]) -> None:
    fields["made"] = {"seconds": 1.5, "recipe": {"epochs": 3, "minutes": None}}
    fields["files"] = {
        "a.json": {"size_bytes": 1_000, "sha256": "ab" * 32},
        "b.onnx": {"size_bytes": 2_500, "sha256": "cd" * 32},
    }

    text = page(fields, {})

    assert ["recipe.epochs", "3"] in lines(text)
    assert ["recipe.minutes", "–"] in lines(text)
    assert ["in", "all", "3,500", "bytes"] in lines(text)


def test_the_page_shows_the_model_beside_the_baselines(fields: dict[str, Any]) -> None:
    held_out = {
        "items": {"demo": {"n": 1_200, "recall@20": 0.5}, "popularity": {"n": 1_200}},
        "intents": {"buy": {"n": 7, "auc": None, "ece": 0.01}},
    }

    text = page(fields, {"held_out": held_out})

    assert ["demo", "1,200", "–", "0.5000", "–", "–"] in lines(text)
    assert ["popularity", "1,200", "–", "–", "–", "–"] in lines(text)
    assert ["buy", "7", "–", "–", "–", "0.0100"] in lines(text)


def test_the_page_shows_intents_for_each_scorer(fields: dict[str, Any]) -> None:
    intents = {"buy": {"demo": {"n": 7, "auc": 0.75}}}

    assert "buy, demo" in page(fields, {"held_out": {"intents": intents}})


def test_the_demos_own_page_has_every_section() -> None:
    text = page(inspect(DEMO), inspect_metrics(DEMO))

    titles = [line for line in text.splitlines() if line and not line.startswith(" ")]
    assert titles[1:] == ["data", "made", "next item, held out", CALIBRATED, "files"]
    assert max(map(len, text.splitlines())) < 140


@pytest.mark.parametrize("content", [None, b"", b"[1]", b"{"])
def test_without_metrics_the_rest_is_shown(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_bytes(content)

    assert inspect_metrics(tmp_path) == {}


def test_metrics_are_what_the_file_holds(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text(json.dumps({"held_out": {}}))

    assert inspect_metrics(tmp_path) == {"held_out": {}}
