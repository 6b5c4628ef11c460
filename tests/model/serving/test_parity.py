"""Parity of the engines: ONNX Runtime, torch and the network itself give the same scores."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.artifact.artifact import Artifact
from model.artifact.network import load_network
from model.features import encode
from model.scorer import Score
from model.sequence import Sequence
from model.serving.onnx import OnnxScorer
from model.serving.torch import TorchScorer
from tests.model.strategies import sequences

TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def onnx(tiny_artifact: Artifact) -> OnnxScorer:
    return OnnxScorer(tiny_artifact)


@pytest.fixture(scope="module")
def torch_scorer(tiny_artifact: Artifact) -> TorchScorer:
    return TorchScorer(tiny_artifact)


def assert_alike(one: list[tuple[str, float]], other: list[tuple[str, float]]) -> None:
    """Probabilities agree rank by rank; names agree except for near-ties."""
    for (name, chance), (other_name, other_chance) in zip(one, other, strict=True):
        assert chance == pytest.approx(other_chance, abs=TOLERANCE)
        if name != other_name:
            swapped = dict(other).get(name, other[-1][1])  # or it tied for the last rank
            assert chance == pytest.approx(swapped, abs=TOLERANCE)


def assert_same(one: Score, other: Score) -> None:
    assert one.quality == other.quality
    assert_alike(one.items, other.items)
    assert_alike(one.categories, other.categories)
    assert one.intent == pytest.approx(other.intent, abs=TOLERANCE)


@settings(max_examples=30, deadline=None)
@given(st.lists(sequences(), min_size=1, max_size=12))
def test_onnx_and_torch_agree(
    onnx: OnnxScorer, torch_scorer: TorchScorer, batch: list[Sequence]
) -> None:
    for one, other in zip(onnx.score(batch), torch_scorer.score(batch), strict=True):
        assert_same(one, other)


@settings(max_examples=30, deadline=None)
@given(batch=st.lists(sequences(), min_size=1, max_size=12))
def test_the_graph_gives_the_probabilities_of_the_network(
    tiny_artifact: Artifact, onnx: OnnxScorer, batch: list[Sequence]
) -> None:
    """The graph takes a shortcut for copies and rules; the network computes them in full."""
    import torch

    from model.networks.sequence import SequenceModel

    network = load_network(tiny_artifact)
    assert isinstance(network, SequenceModel)
    padded = encode(batch, onnx.catalogue, tiny_artifact.config)
    with torch.inference_mode():
        chances = network(*map(torch.from_numpy, padded[:4]))[0].numpy()  # (B, V)
    for row, score in enumerate(onnx.score(batch)):
        if score.quality == "full":
            best = np.sort(chances[row])[::-1][: len(score.items)]
            assert [chance for _, chance in score.items] == pytest.approx(best, abs=TOLERANCE)
            named = [chances[row, onnx.catalogue.index[item]] for item, _ in score.items]
            assert [chance for _, chance in score.items] == pytest.approx(named, abs=TOLERANCE)
