"""Similar items: the nearest by behaviour, by text, or by both."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from model.artifact.artifact import CATALOGUE, WEIGHTS, Artifact, ArtifactWriter
from model.catalogue import Catalogue
from model.errors import ArtifactError, DataError
from model.features import FIRST_ITEM
from model.understanding import similar as module
from model.understanding.similar import Neighbour, behaviour_vectors, similar, text_vectors
from tests.model.conftest import (
    TINY_CATEGORIES,
    TINY_CONFIG,
    TINY_ITEMS,
    random_network,
    tiny_catalogue,
)

SHOP = Catalogue.from_names("abcd", ["shoe", "shoe", "hat", None], [1] * 4)
# a and b 45° apart, c opposite to a, and d has none.
VECTORS = np.array([[1, 0], [2, 2], [-3, 0], [0, 0]], dtype=np.float32)
HALF = 0.5**0.5


def written(folder: Path, catalogue: Catalogue, tensors: dict[str, Any] | None = None) -> Artifact:
    """An artifact with these weights, or those of a random network if None."""
    with ArtifactWriter(folder) as writer:
        if tensors is None:
            random_network(TINY_ITEMS, TINY_CATEGORIES).save_pretrained(writer.draft)
        else:
            save_file(tensors, writer.draft / WEIGHTS)
        writer.write_object(CATALOGUE, catalogue.to_json())
        return writer.seal(TINY_CONFIG, created_at="2026-01-02T03:04:05Z", data={}, made={})


@pytest.fixture
def shop(tmp_path: Path) -> Artifact:
    return written(tmp_path / "shop", SHOP, {"texts": VECTORS})


def cosines(found: list[Neighbour]) -> dict[str, float]:
    return {neighbour.item_id: round(neighbour.cosine, 6) for neighbour in found}


def test_by_text_the_nearest_comes_first_and_items_without_text_are_left_out(
    shop: Artifact,
) -> None:
    found = similar(shop, "a", "text", 10)

    assert [(n.item_id, n.category) for n in found] == [("b", "shoe"), ("c", "hat")]
    assert cosines(found) == {"b": round(HALF, 6), "c": -1}
    assert similar(shop, "a", "text", 1) == found[:1]


def test_leading_rows_that_are_not_items_are_skipped(tmp_path: Path) -> None:
    padded = np.concatenate([np.ones((FIRST_ITEM, 2), np.float32), VECTORS])
    artifact = written(tmp_path / "shop", SHOP, {"encoder.texts": padded})

    assert (text_vectors(artifact, SHOP) == VECTORS).all()


def test_both_is_the_mean_of_the_two_cosines(
    shop: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = np.array([[0, 1], [1, 0], [0, 5], [1, 1]], dtype=np.float32)
    monkeypatch.setattr(module, "behaviour_vectors", lambda *_: other)

    # b: (√½ + 0)/2, c: (−1 + 1)/2; d has no text, so it is left out.
    assert cosines(similar(shop, "a", "both", 9)) == {"b": round(HALF / 2, 6), "c": 0}


@pytest.mark.timeout(400)  # torch and transformers to load, one core shared
def test_behaviour_compares_the_networks_item_vectors(tmp_path: Path) -> None:
    catalogue = tiny_catalogue()
    artifact = written(tmp_path / "tiny", catalogue)

    vectors = behaviour_vectors(artifact, catalogue)
    found = similar(artifact, "i7", "behaviour", TINY_ITEMS)

    assert vectors.shape[0] == TINY_ITEMS
    assert len(found) == TINY_ITEMS - 1
    expected = vectors @ vectors[7]
    best = max((cosine, index) for index, cosine in enumerate(expected) if index != 7)
    assert found[0].item_id == f"i{best[1]}"
    assert found[0].cosine == pytest.approx(float(best[0]), abs=1e-5)


def test_missing_items_and_vectors_are_reported_in_one_line(shop: Artifact, tmp_path: Path) -> None:
    bare = written(tmp_path / "bare", SHOP, {"weight": VECTORS})
    short = written(tmp_path / "short", SHOP, {"texts": VECTORS[:3]})

    with pytest.raises(DataError, match="'z' is not in the catalogue of 4 items"):
        similar(shop, "z", "text", 5)
    with pytest.raises(DataError, match=r"no title when the model was trained.*use --by behaviour"):
        similar(shop, "d", "text", 5)
    with pytest.raises(ArtifactError, match="has no text vectors"):
        similar(bare, "a", "text", 5)
    with pytest.raises(ArtifactError, match="has 3 item vectors for 4 items"):
        similar(short, "a", "text", 5)
