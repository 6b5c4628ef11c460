import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from model.artifact.artifact import ATTRIBUTES, CALIBRATION, CATALOGUE, Artifact, ArtifactWriter
from model.artifact.calibration import Calibration
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.data.log import Item
from model.errors import ArtifactError, DataError
from model.networks.text_encoder import TextEncoder
from model.networks.transformer import TransformerConfig, TransformerModel
from model.packaging.extend import extend, rare_bias
from model.sequence import Sequence
from model.serving.onnx import OnnxScorer
from model.training.sequence.co_occurrence import Counts
from model.training.sequence.item_tables import build_tables
from tests.model.tiny_bert import write_tiny_bert

pytestmark = pytest.mark.timeout(400)  # libraries to load and a graph to export, one core shared

N_ITEMS = 20
TITLES = {"lamps": "small red lamp", "tables": "large blue table"}
NONE = Counts(np.empty(0, np.int64), np.empty(0, np.float32), np.zeros(N_ITEMS, np.float32))


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("encoder") / "bert")


@pytest.fixture(scope="module")
def older(bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Lamps of one brand and tables of another; the last two items are the rarest."""
    kinds = ["lamps", "tables"] * (N_ITEMS // 2)
    names = [f"i{n}" for n in range(N_ITEMS)]
    catalogue = Catalogue.from_names(names, kinds, list(range(N_ITEMS, 0, -1)))
    brands = tuple((f"brand={kind[0]}",) for kind in kinds)
    encoder = TextEncoder.open(bert)
    texts = encoder.encode([TITLES[kind] for kind in kinds]).astype(np.float16)
    tables = build_tables(catalogue, brands, texts, (NONE, NONE))
    torch.manual_seed(0)
    source = encoder.source._asdict()
    network = TransformerModel(
        TransformerConfig(items=N_ITEMS, categories=2, width=16, text_source=source, **tables.sizes)
    )
    tables.put(network, catalogue)
    network.out.bias.data[2:] = torch.arange(N_ITEMS, 0, -1).float() / N_ITEMS
    nn.Module.eval(network)
    config = ArtifactConfig()
    with ArtifactWriter(tmp_path_factory.mktemp("older") / "shop") as writer:
        network.save_pretrained(writer.draft)
        calibration = Calibration(("cart", "buy"), (1.5, 0.5), (-1.0, -3.0), (0.12, 0.03))
        writer.write_object(CATALOGUE, catalogue.to_json())
        writer.write_object(CALIBRATION, calibration.to_json())
        writer.write_object(ATTRIBUTES, {"values": list(tables.names)})
        return writer.seal(config, created_at="2026-01-02T03:04:05Z", data={}, made={"by": "us"})


NEW = [
    Item("i3", "tables", "small red lamp"),  # known already, stays unchanged
    Item("lamp", "lamps", "small red lamp", ("brand=l", "brand=t", "price=9.99")),
    Item("thing", "things", None, ("brand=x",)),
]


@pytest.fixture(scope="module")
def newer(older: Artifact, bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    return extend(older, NEW, tmp_path_factory.mktemp("newer") / "shop", encoder=bert)


def weights(artifact: Artifact) -> TransformerModel:
    return TransformerModel.from_pretrained(artifact.folder)


def test_new_items_come_after_the_old_ones(older: Artifact, newer: Artifact) -> None:
    before, after = older.read_catalogue(), newer.read_catalogue()

    assert after.items == (*before.items, "lamp", "thing")
    assert after.categories == before.categories  # the network cannot take another one
    assert after.item_categories.tolist()[-2:] == [0, -1]
    assert after.counts.tolist() == [*before.counts.tolist(), 0, 0]
    assert newer.version != older.version
    assert newer.manifest.made == {"by": "us", "extended_from": older.version, "new_items": 2}


def test_a_new_item_vector_is_made_of_its_text_and_known_attributes(
    older: Artifact, newer: Artifact
) -> None:
    before, after = weights(older), weights(newer)
    place = {name: n + 1 for n, name in enumerate(older.read_object(ATTRIBUTES)["values"])}
    named = [place[name] for name in ("category=lamps", "brand=l", "brand=t")]
    assert before.text is not None
    text = before.text(before.texts[2].float())  # i0 has the same title
    expected = before.attribute.weight[named].sum(0) + text

    vectors = after.item_vectors()
    assert torch.allclose(vectors[-2], nn.functional.normalize(expected, dim=0), atol=1e-4)
    assert not vectors[-1].any()  # none of its attributes is known
    assert torch.equal(vectors[: N_ITEMS + 2], before.item_vectors())


def test_a_new_item_is_as_popular_as_the_rarest_tenth(older: Artifact, newer: Artifact) -> None:
    median = (2 / N_ITEMS + 1 / N_ITEMS) / 2  # the last two of 20 items

    assert rare_bias(weights(older), older.read_catalogue()) == pytest.approx(median)
    assert weights(newer).out.bias[-2:].tolist() == pytest.approx([median] * 2)


def test_a_new_item_is_scorable_from_its_text_at_once(older: Artifact, newer: Artifact) -> None:
    scorer = OnnxScorer(newer)
    known, unknown = (Sequence((item,), ("click",), (1_000,), 2_000) for item in ("lamp", "other"))

    assert "lamp" not in older.read_catalogue().index
    assert scorer.score([known, unknown])[0].quality == "full"
    assert scorer.score([known, unknown])[1].quality == "cold"
    assert scorer.probabilities([known])[0, N_ITEMS] > 0


def test_old_items_keep_their_relative_probabilities(older: Artifact, newer: Artifact) -> None:
    items = torch.tensor([[3, 6, 0, 0]])
    ones = (items > 0).int()
    with torch.inference_mode():
        before, after = (
            weights(a)(items, ones, ones, torch.tensor([2]))[0] for a in (older, newer)
        )

    old = after[0, :N_ITEMS]
    assert torch.allclose(
        old / old.sum(), before[0], atol=1e-5
    )  # new items take a share of their own


def test_nothing_new_and_another_encoder_are_refused(older: Artifact, tmp_path: Path) -> None:
    other = write_tiny_bert(tmp_path / "other", seed=4)

    with pytest.raises(DataError, match="none of the 1 items is new"):
        extend(older, NEW[:1], tmp_path / "out")
    with pytest.raises(ArtifactError, match=r"its titles were encoded by bert .*--encoder"):
        extend(older, NEW, tmp_path / "out", encoder=other)
    assert not (tmp_path / "out").exists()


def test_an_artifact_without_titles_and_attributes_is_refused(
    tiny_artifact: Artifact, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match="neither titles nor attributes") as refusal:
        extend(tiny_artifact, NEW, tmp_path / "out")
    assert "\n" not in str(refusal.value)
    assert json.loads((tiny_artifact.folder / "config.json").read_text())["attributes"] == 0
