"""Fixtures of the model's tests: one small artifact, built once."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from fcntl import LOCK_EX, flock
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import model
from model.artifact.artifact import CALIBRATION, CATALOGUE, METRICS, Artifact, ArtifactWriter
from model.artifact.calibration import Calibration
from model.catalogue import Catalogue
from model.config import ArtifactConfig

if TYPE_CHECKING:
    from model.networks.transformer import TransformerModel

TINY_CONFIG = ArtifactConfig(name="tiny", top_items=5, top_categories=3)
TINY_ITEMS = 60
TINY_CATEGORIES = 4
MADE_BY = (
    "artifact/artifact.py",
    "artifact/calibration.py",
    "artifact/manifest.py",
    "catalogue.py",
    "config.py",
    "features.py",
    "graphs/build.py",
    "graphs/sequence.py",
    "graphs/sequence_int8.py",
    "networks/experts.py",
    "networks/positions.py",
    "networks/sequence.py",
    "networks/transformer.py",
    "onnx_session.py",
    "outputs.py",
    "packaging/export.py",
    "packaging/shrink.py",
    "serving/answering/answers.py",
    "serving/onnx.py",
)


def tiny_catalogue() -> Catalogue:
    """Items i0 … i59 in rotating categories c0 … c3, every tenth item without one."""
    names = [f"i{index}" for index in range(TINY_ITEMS)]
    categories = [None if i % 10 == 9 else f"c{i % TINY_CATEGORIES}" for i in range(TINY_ITEMS)]
    return Catalogue.from_names(names, categories, list(range(TINY_ITEMS, 0, -1)))


def random_network(items: int, categories: int, width: int = 16) -> "TransformerModel":
    """A network with seeded random weights, large enough that scores differ between users."""
    import torch
    from torch import nn

    from model.networks.transformer import TransformerConfig, TransformerModel

    torch.manual_seed(7)
    config = TransformerConfig(items=items, categories=categories, companions=3, width=width)
    network = TransformerModel(config)
    codes = torch.arange(2, items + 2)[:, None]
    network.companions[2:] = 2 + (codes + torch.arange(3)) % items
    network.shares[:, 2:] = torch.tensor([0.5, 0.25, 0.125]).half()
    network.support[:, 2:] = 5
    with torch.no_grad():
        for name, weights in network.named_parameters():
            if not name.endswith("norm.weight"):
                weights.add_(torch.randn_like(weights) * 0.1)
    nn.Module.eval(network)
    return network


def write_artifact(
    folder: Path, network: "TransformerModel", catalogue: Catalogue, config: ArtifactConfig
) -> Artifact:
    """Write an artifact of this network, with a calibration that changes both intents."""
    from model.packaging.export import export_onnx

    with ArtifactWriter(folder) as writer:
        network.save_pretrained(writer.draft)
        export_onnx(network, config, writer.draft)
        calibration = Calibration(("cart", "buy"), (1.5, 0.5), (-1.0, -3.0), (0.12, 0.03))
        writer.write_object(CATALOGUE, catalogue.to_json())
        writer.write_object(CALIBRATION, calibration.to_json())
        writer.write_object(METRICS, {"recall_at_20": 0.5})
        return writer.seal(
            config,
            created_at="2026-01-02T03:04:05Z",
            data={"events": 0},
            made={"by": "tests/model/conftest.py"},
        )


@pytest.fixture(scope="session")
def tiny_artifact(request: pytest.FixtureRequest) -> Artifact:
    """The artifact of a random network with sixty items. Do not write into its folder: copy it.

    The export takes many times as long as the tests, so it is cached until a source changes.
    """
    cache: pytest.Cache = request.config.cache
    folder = cache.mkdir("tiny_artifact") / _sources()
    with _one_at_a_time(folder):
        if not folder.exists():
            network = random_network(TINY_ITEMS, TINY_CATEGORIES)
            write_artifact(folder, network, tiny_catalogue(), TINY_CONFIG)
    return Artifact.open(folder)


@pytest.fixture(scope="session")
def small_artifact(tiny_artifact: Artifact, request: pytest.FixtureRequest) -> Artifact:
    """The shrunk tiny artifact, cached in the same way."""
    from model.packaging.shrink import shrink

    folder = request.config.cache.mkdir("small_artifact") / _sources()
    with _one_at_a_time(folder):
        if not folder.exists():
            shrink(tiny_artifact, folder)
    return Artifact.open(folder)


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let the other processes of ``pytest -n`` wait for the one that builds."""
    with folder.with_suffix(".lock").open("w") as lock:
        flock(lock, LOCK_EX)
        yield


def _sources() -> str:
    """A digest of all sources and libraries that build the artifact."""
    digest = hashlib.sha256()
    for package in ("torch", "transformers", "onnx", "onnxscript", "onnxruntime"):
        digest.update(metadata.version(package).encode())
    root = Path(model.__file__).parent
    for path in (Path(__file__), *(root / name for name in MADE_BY)):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
