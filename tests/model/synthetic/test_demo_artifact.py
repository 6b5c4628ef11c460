import json
from pathlib import Path

import pytest

from model.artifact.artifact import METRICS, Artifact
from model.serving.verify import verify
from model.synthetic.demo_artifact import EVENTS_SEED, FOLDER, N_EVENTS, SHOP_SEED, build
from model.synthetic.shop import Shop

MOST_BYTES = 3_000_000


def test_the_demo_artifact_can_be_served_and_is_small() -> None:
    verify(FOLDER)

    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < MOST_BYTES


def test_its_catalogue_is_the_whole_shop() -> None:
    catalogue = Artifact.open(FOLDER).read_catalogue()
    items = Shop(SHOP_SEED).items

    assert catalogue.items == tuple(sorted(item.item_id for item in items))
    assert set(catalogue.categories) == {item.category for item in items}


def test_it_is_far_better_than_popularity_and_calibrated() -> None:
    held_out = Artifact.open(FOLDER).read_object(METRICS)["held_out"]

    # As in test_training: the category alone gives 72 %.
    assert held_out["items"]["demo"]["recall@20"] > 0.8
    assert held_out["items"]["demo"]["recall@20"] > 5 * held_out["items"]["popularity"]["recall@20"]
    assert all(found["ece"] < 0.03 for found in held_out["intents"].values())


def test_its_manifest_records_how_to_rebuild_it() -> None:
    made = Artifact.open(FOLDER).manifest.made

    assert made["by"].startswith("python -m model.synthetic.demo_artifact: ")
    assert f"{N_EVENTS} events" in made["by"]
    assert f"Shop({SHOP_SEED}), events seed {EVENTS_SEED}" in made["by"]


@pytest.mark.timeout(400)  # libraries to load and a model to export, one core shared
def test_rebuilding_replaces_the_older_artifact(tmp_path: Path) -> None:
    folder = tmp_path / "demo_artifact"

    build(folder, n_events=1_500, epochs=1)
    first = json.loads((folder / "manifest.json").read_text())
    build(folder, n_events=1_500, epochs=1)

    assert Artifact.open(folder).version == first["version"]  # equal bytes, equal version
