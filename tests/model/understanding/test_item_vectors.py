"""The vectors that NumPy computes from the weights are those that each network computes."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model.artifact.artifact import CATALOGUE, WEIGHTS, Artifact, ArtifactWriter
from model.config import ArtifactConfig
from model.errors import ArtifactError
from model.networks import NETWORKS
from model.understanding.item_vectors import COMPUTED, item_vectors

pytestmark = pytest.mark.timeout(400)  # torch and transformers to load, one core shared

CODES, WIDTH = 7, 8
ATTRIBUTES, TEXT_WIDTH = 3, 6


def sealed(folder: Path, network: Any, name: str) -> Artifact:
    with ArtifactWriter(folder) as writer:
        network.save_pretrained(writer.draft)
        writer.write_object(
            CATALOGUE, {"items": ["a"], "categories": [], "item_categories": [-1], "counts": [1]}
        )
        config = ArtifactConfig(network=name)
        return writer.seal(config, created_at="2026-01-02T03:04:05Z", data={}, made={})


def sequence_network(name: str, attributes: int, text_width: int) -> Any:
    """Random weights, and tables in which item 3 has two attributes and item 4 has none."""
    import torch

    from model.networks import network_class

    torch.manual_seed(2)
    kind: Any = network_class(name)
    network = kind(
        kind.config_class(
            items=CODES - 2,
            attributes=attributes,
            attributes_each=2,
            text_width=text_width,
            width=WIDTH,
        )
    )
    if attributes:
        table = torch.tensor([[0, 0], [0, 0], [1, 0], [2, 3], [0, 0], [3, 0], [1, 2]])
        network.item_attributes.copy_(table)
    if text_width:
        network.texts.copy_(torch.randn(CODES, text_width).half())
    return network


@pytest.mark.parametrize("name", ["transformer", "gru", "lstm"])
@pytest.mark.parametrize(
    ("attributes", "text_width"), [(0, 0), (ATTRIBUTES, 0), (0, TEXT_WIDTH), (3, TEXT_WIDTH)]
)
def test_the_vectors_of_a_sequence_network_are_its_own(
    name: str, attributes: int, text_width: int, tmp_path: Path
) -> None:
    network = sequence_network(name, attributes, text_width)

    found = item_vectors(sealed(tmp_path / "a", network, name))

    assert found is not None
    expected = network.item_vectors().detach().numpy()
    assert np.allclose(found, expected, atol=1e-6)


def test_the_vectors_of_an_mlp_have_the_direction_of_its_own(tmp_path: Path) -> None:
    import torch

    from model.networks.mlp import MlpConfig, MlpModel

    torch.manual_seed(2)
    network = MlpModel(MlpConfig(items=CODES - 2, categories=2, width=WIDTH, popular=3))
    network.item_attribute.copy_(torch.tensor([0, 0, 1, 2, 0, 1, 2]))

    found = item_vectors(sealed(tmp_path / "a", network, "mlp"))

    assert found is not None
    expected = torch.nn.functional.normalize(network.item_vectors(), dim=-1).detach().numpy()
    assert np.allclose(found, expected, atol=1e-6)


def test_every_network_but_path_has_item_vectors(tmp_path: Path) -> None:
    """Path knows how shoppers go on, not which items are alike."""
    assert set(NETWORKS) - set(COMPUTED) == {"path"}


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    artifact = sealed(tmp_path / "a", sequence_network("gru", 0, 0), "bert")

    with pytest.raises(ArtifactError, match=f"{WEIGHTS} has no 'item_vectors', expected"):
        item_vectors(artifact)
