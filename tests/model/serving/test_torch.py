"""The torch engine: devices, weights that do not fit, and the grouped TopK."""

import shutil
from pathlib import Path

import pytest
import torch
from torch import nn

from model.artifact.artifact import CALIBRATION, CATALOGUE, MANIFEST, Artifact, ArtifactWriter
from model.config import ArtifactConfig
from model.errors import ArtifactError, ScorerError
from model.graphs.sequence import GROUPED_FROM, ServingGraph
from model.serving.torch import TorchScorer
from tests.model.conftest import random_network


@pytest.mark.parametrize(
    ("device", "line"),
    [
        ("toaster", "device is 'toaster', expected cpu, cuda or cuda:N"),
        ("cuda:99", r"device is 'cuda:99', but torch .* sees \d+ GPUs; .* run `make setup GPU=1`"),
    ],
)
def test_the_error_names_a_missing_device(tiny_artifact: Artifact, device: str, line: str) -> None:
    with pytest.raises(ScorerError, match=line):
        TorchScorer(tiny_artifact, device)


def with_weights(artifact: Artifact, folder: Path, network: nn.Module, *names: str) -> Artifact:
    """A copy of the artifact with these files of another network."""
    with ArtifactWriter(folder) as writer:
        network.save_pretrained(writer.draft)  # type: ignore[operator]
        for path in artifact.folder.iterdir():
            if path.name not in (MANIFEST, *names):
                shutil.copy(path, writer.draft)
        return writer.seal(artifact.config, created_at="2026-01-02", data={}, made={})


def test_weights_for_another_catalogue_are_refused(tiny_artifact: Artifact, tmp_path: Path) -> None:
    other = random_network(58, 4)
    names = ("model.safetensors", "config.json")
    artifact = with_weights(tiny_artifact, tmp_path / "v8", other, *names)

    with pytest.raises(ArtifactError, match=r"has 60 items, model\.safetensors expects 58; export"):
        TorchScorer(artifact)


def test_weights_that_do_not_fit_their_configuration_are_refused(
    tiny_artifact: Artifact, tmp_path: Path
) -> None:
    other = random_network(58, 4)
    artifact = with_weights(tiny_artifact, tmp_path / "v8", other, "model.safetensors")

    with pytest.raises(ArtifactError, match=r"v8: model\.safetensors "):
        TorchScorer(artifact)


def test_an_artifact_without_weights_is_refused(tiny_artifact: Artifact, tmp_path: Path) -> None:
    with ArtifactWriter(tmp_path / "v8") as writer:
        for name in (CATALOGUE, CALIBRATION):
            shutil.copy(tiny_artifact.folder / name, writer.draft)
        artifact = writer.seal(tiny_artifact.config, created_at="2026-01-02", data={}, made={})

    with pytest.raises(ArtifactError, match=r"v8: has no config\.json; export the artifact again"):
        TorchScorer(artifact)


@pytest.mark.parametrize("items", [GROUPED_FROM, GROUPED_FROM + 3])
def test_the_top_items_of_a_large_catalogue_match_a_full_sort(items: int) -> None:
    graph = ServingGraph(random_network(items, 1, width=4), ArtifactConfig())
    assert graph.members > 1
    scores = torch.randn(16, items, generator=torch.Generator().manual_seed(3))
    filled = nn.functional.pad(scores, (0, graph.table.shape[1] - items), value=-1e30)

    best = torch.topk(scores, 20, dim=1)
    values, columns = graph._top(filled)
    assert values.equal(best.values)
    assert columns.equal(best.indices)


def test_a_small_catalogue_is_returned_whole() -> None:
    graph = ServingGraph(random_network(3, 1, width=4), ArtifactConfig())
    items = torch.tensor([[2, 3, 0, 0]], dtype=torch.int32)
    with torch.inference_mode():
        top_items, top_probs, categories, *_ = graph(items, items, items, torch.tensor([2]))

    assert sorted(top_items[0].tolist()) == [0, 1, 2]
    assert float(top_probs.sum()) == pytest.approx(1.0)
    assert categories.tolist() == [[1.0]]  # softmax over one
