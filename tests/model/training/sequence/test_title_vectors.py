import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch

from model.config import ArtifactConfig
from model.data.log import EventLog, Item
from model.errors import ScorerError
from model.networks import text_encoder as texts
from model.training.plan import Plan, Recipe
from model.training.sequence.co_occurrence import count
from model.training.sequence.fit import build
from model.training.sequence.title_vectors import NO_TITLES, own_titles, read_title_vectors
from model.training.training_data import TrainingData, read
from tests.model.tiny_bert import write_tiny_bert

pytestmark = pytest.mark.timeout(400)  # libraries to load, one core shared

ITEMS = {
    "a": Item("a", "lamp", "small red lamp"),
    "b": Item("b", "lamp", "small red lamp"),
    "c": Item("c", "lamp", None),
    "d": Item("d", None, "large table"),
}

START_MS = 1_790_000_000_000


class Read(NamedTuple):
    data: TrainingData
    plan: Plan


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Read:
    folder = tmp_path_factory.mktemp("shop")
    rows = [
        {
            "user_id": user,
            "item_id": item,
            "action": "click",
            "ts": START_MS + 1000 * n + 100 * int(user),
        }
        for user in "123"
        for n, item in enumerate("abcdabcd")
    ]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    plan = Plan(ArtifactConfig(), Recipe(), width=8, encoder=write_tiny_bert(folder / "bert"))
    return Read(read(EventLog.open([folder / "log.jsonl"]), plan, ITEMS), plan)


def test_equal_titles_have_equal_vectors_and_no_title_a_zero_vector(shop: Read) -> None:
    titles = read_title_vectors(*shop)

    assert titles.vectors is not None and titles.vectors.shape == (4, 32)
    a, b, c, d = titles.vectors
    assert np.array_equal(a, b)
    assert np.linalg.norm(a.astype(float)) == pytest.approx(1, abs=1e-2)  # half precision
    assert not np.array_equal(a, d)
    assert not c.any()  # its only text is its category


def test_a_text_that_repeats_the_category_is_no_title(shop: Read) -> None:
    assert shop.data.texts == ("small red lamp", "small red lamp", "lamp", "large table")
    assert own_titles(shop.data.catalogue, shop.data.texts) == [
        "small red lamp",
        "small red lamp",
        "",
        "large table",
    ]


def test_a_network_records_the_encoder_of_its_vectors(shop: Read) -> None:
    titles = read_title_vectors(*shop)
    network = build(*shop, count(shop.data.learnt, 4), titles)

    assert network.config.text_source == titles.source
    assert titles.source is not None and titles.source["name"] == "bert"
    assert titles.made == {"titles": titles.source}
    assert torch.equal(network.texts[2:], torch.from_numpy(titles.vectors))


def test_items_with_equal_titles_differ_only_by_id(
    shop: Read,
) -> None:
    network = build(*shop, count(shop.data.learnt, 4), read_title_vectors(*shop))
    vectors = network.item_vectors(torch.arange(2, 6), torch.zeros(4, 1))

    assert torch.equal(vectors[0], vectors[1])
    assert not torch.allclose(vectors[0], vectors[2], atol=1e-3)


def test_there_are_no_vectors_without_titles_or_when_turned_off(shop: Read) -> None:
    untitled = shop.data._replace(texts=("lamp", "lamp", "lamp", ""))

    assert read_title_vectors(shop.data, replace(shop.plan, texts=False)) == NO_TITLES
    assert read_title_vectors(untitled, shop.plan) == NO_TITLES
    assert build(*shop, count(shop.data.learnt, 4)).config.text_width == 0


def test_a_named_encoder_must_exist(shop: Read, tmp_path: Path) -> None:
    with pytest.raises(ScorerError, match="cannot load a text encoder"):
        read_title_vectors(shop.data, replace(shop.plan, encoder=tmp_path))


def test_without_the_package_one_line_says_that_titles_are_not_used(
    shop: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> Path:
        raise ScorerError("no text encoder: it is not installed")

    monkeypatch.setattr(texts, "_package", missing)

    titles = read_title_vectors(shop.data, replace(shop.plan, encoder=None))

    assert titles.vectors is None
    assert titles.made == {
        "titles_unused": "titles are not used: no text encoder: it is not installed"
    }
