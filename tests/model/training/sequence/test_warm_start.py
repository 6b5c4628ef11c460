import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import nn

from model.artifact.artifact import ATTRIBUTES, CALIBRATION, CATALOGUE, Artifact, ArtifactWriter
from model.artifact.calibration import Calibration
from model.config import ArtifactConfig
from model.data.attribute_codes import value_names
from model.data.dataset import TRAINED_UNTIL
from model.data.log import EventLog, Item
from model.errors import ArtifactError
from model.networks.sequence import SequenceModel
from model.synthetic.shop import Shop
from model.training.plan import Plan, Progress, Recipe
from model.training.sequence.co_occurrence import count
from model.training.sequence.fit import Run, build
from model.training.sequence.warm_start import Names, Older
from model.training.training_data import TrainingData, read

pytestmark = pytest.mark.timeout(400)  # libraries to load and a model to train, one core shared

START_MS = 1_790_000_000_000
ONE_ROUND = Recipe(epochs=1, round_steps=(5, 5), patience=1)
BRANDS = {f"i{n:05d}": Item(f"i{n:05d}", None, None, (f"brand={n % 7}",)) for n in range(120)}


class Trained(NamedTuple):
    data: TrainingData
    plan: Plan
    network: SequenceModel
    artifact: Artifact


def write(folder: Path, data: TrainingData, plan: Plan, network: SequenceModel) -> Artifact:
    values = value_names(data.catalogue, data.attributes)
    with ArtifactWriter(folder) as writer:
        network.save_pretrained(writer.draft)
        writer.write_object(CATALOGUE, data.catalogue.to_json())
        writer.write_object(
            CALIBRATION, Calibration(("cart", "buy"), (1, 1), (0, 0), (0.1, 0.1)).to_json()
        )
        writer.write_object(ATTRIBUTES, {"values": list(values)})
        until = {TRAINED_UNTIL: data.held_out.start_ms}
        return writer.seal(plan.config, created_at="2026-01-02T03:04:05Z", data=until, made={})


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("older")
    events = itertools.islice(Shop(3, 120, 6).events(60, START_MS), 1_500)
    (folder / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    plan = Plan(ArtifactConfig(), Recipe(epochs=12), width=16, refit=False)
    data = read(EventLog.open([folder / "log.jsonl"]), plan, BRANDS)
    network, *_ = Run(data, plan, lambda _: None).search()
    return Trained(data, plan, network, write(folder / "shop", data, plan, network))


def names(data: TrainingData, plan: Plan) -> Names:
    return Names.of(data.catalogue, value_names(data.catalogue, data.attributes), plan.config)


def first_validation(data: TrainingData, plan: Plan) -> float:
    heard: list[Progress] = []
    Run(data, plan, heard.append).search()
    found = next(progress.validation for progress in heard if progress.validation)
    return found.recall + found.mrr


def test_a_warm_start_improves_the_first_validation(older: Trained, tmp_path: Path) -> None:
    plan = replace(older.plan, recipe=ONE_ROUND)
    events = itertools.islice(Shop(3, 120, 6).events(60, START_MS), 300)
    (tmp_path / "short.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    data = read(EventLog.open([tmp_path / "short.jsonl"]), plan, BRANDS)
    afresh = first_validation(data, plan)
    warm = first_validation(data, replace(plan, start=older.artifact.folder))

    # A fifth of the log says little about the shop; the older network was trained on all of it.
    assert warm > afresh + 0.02


def test_shared_names_are_copied_and_new_ones_start_neutral(older: Trained) -> None:
    # The first item is removed; a new one without any text or attribute and one of a known brand
    # are added.
    items = dict(itertools.islice(BRANDS.items(), 1, None))
    items["a-new-one"] = Item("a-new-one", None, None)
    items["b-new-one"] = Item("b-new-one", None, None, ("brand=3", "fabric=silk"))
    old, data = older.data, _with(older.data, items)
    network = build(data, older.plan, count(data.learnt, len(data.catalogue)))
    random = network.item.weight[2].clone()

    Older.open(older.artifact.folder).start(network, names(data, older.plan))

    for item, index in data.catalogue.index.items():
        if item in old.catalogue.index:
            place = old.catalogue.index[item]
            assert torch.equal(
                network.item_vectors()[index + 2], older.network.item_vectors()[place + 2]
            )
    own = value_names(data.catalogue, data.attributes)
    theirs = value_names(old.catalogue, old.attributes)
    brand = older.network.attribute.weight[1 + theirs.index("brand=3")]
    assert torch.allclose(network.item_vectors()[3], nn.functional.normalize(brand, dim=0))
    assert not network.attribute.weight[1 + own.index("fabric=silk")].any()
    assert torch.equal(network.item.weight[2], random)  # a zero vector could not be normalised
    assert torch.equal(_query(network), _query(older.network))


def _with(data: TrainingData, items: dict[str, Item]) -> TrainingData:
    known = [name for name in data.catalogue.items if name in items]
    ids = ["a-new-one", "b-new-one", *known]
    catalogue = type(data.catalogue).from_names(
        ids, [_category(data, name) for name in ids], [1] * len(ids)
    )
    return data._replace(
        catalogue=catalogue,
        attributes=tuple(items[name].attributes for name in ids),
        learnt=data.learnt._replace(items=data.learnt.items.clip(max=0)),
    )


def _category(data: TrainingData, name: str) -> str | None:
    if name not in data.catalogue.index:
        return None
    place = int(data.catalogue.item_categories[data.catalogue.index[name]])
    return data.catalogue.categories[place]


def _query(network: SequenceModel) -> torch.Tensor:
    return network.get_parameter("encoder.blocks.0.query.weight")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"width": 8}, "its width is 16, this training's is 8; train with the same, or leave"),
        ({"blocks": 2}, "its number of blocks is 1, this training's is 2"),
        ({"config": ArtifactConfig(max_length=20)}, "its position.weight has the shape"),
    ],
)
def test_a_mismatch_is_refused_in_one_line(
    older: Trained, change: dict[str, object], message: str
) -> None:
    plan = replace(older.plan, **change)  # type: ignore[arg-type]
    network = build(older.data, plan, count(older.data.learnt, len(older.data.catalogue)))

    with pytest.raises(ArtifactError, match=message) as refusal:
        Older.open(older.artifact.folder).start(network, names(older.data, plan))
    assert "\n" not in str(refusal.value)


def test_the_manifest_records_the_version_of_the_warm_start(older: Trained) -> None:
    run = Run(older.data, replace(older.plan, start=older.artifact.folder), lambda _: None)

    until_ms = older.data.held_out.start_ms
    assert run.made == {"from": {"version": older.artifact.version, TRAINED_UNTIL: until_ms}}
