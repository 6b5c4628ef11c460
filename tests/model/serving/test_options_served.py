"""Options on a real graph: both engines agree, and the batch does not matter."""

import orjson
import pytest

from model.artifact.artifact import Artifact
from model.scorer import Score
from model.serving.onnx import OnnxScorer
from model.serving.options import ItemList, ScoringOptions

pytestmark = pytest.mark.timeout(400)  # may have to export a graph first

BLOCKED = ItemList("blocked", frozenset({"i0", "i1", "i2"}))
EVERYTHING = ScoringOptions(
    exclude_seen=True,
    blocked_items=BLOCKED,
    max_per_category=2,
    diversity=0.2,
    recency_temperature=0.5,
    user_vector=True,
)


def published(scores: list[Score]) -> list[bytes]:
    return [orjson.dumps(tuple(score)) for score in scores]


def test_options_give_the_same_bytes_in_any_batch(tiny_artifact: Artifact) -> None:
    scorer = OnnxScorer(tiny_artifact, EVERYTHING)
    log = scorer.sample(96)

    assert published(scorer.score(log)) == [published(scorer.score([one]))[0] for one in log]


def test_options_hold_on_a_real_graph(tiny_artifact: Artifact) -> None:
    scorer = OnnxScorer(tiny_artifact, EVERYTHING)
    log = scorer.sample(48)

    for sequence, score in zip(log, scorer.score(log), strict=True):
        listed = {name for name, _ in score.items}
        assert len(score.items) == len(listed) == tiny_artifact.config.top_items
        assert not listed & (BLOCKED.ids | set(sequence.items))
        assert score.vector


def test_the_distribution_agrees_with_the_top_items(tiny_artifact: Artifact) -> None:
    scorer = OnnxScorer(tiny_artifact)
    log = scorer.sample(48)

    for said, score in zip(scorer.probabilities(log), scorer.score(log), strict=True):
        best = {
            scorer.catalogue.items[place]: float(said[place]) for place in (-said).argsort()[:5]
        }
        assert dict(score.items) == pytest.approx(best, rel=1e-5)
        assert said.sum() == pytest.approx(1, abs=1e-5)


def test_torch_picks_what_onnx_runtime_picks(tiny_artifact: Artifact) -> None:
    from model.serving.torch import TorchScorer

    onnx = OnnxScorer(tiny_artifact, EVERYTHING)
    torch = TorchScorer(tiny_artifact, options=EVERYTHING)
    log = onnx.sample(32)

    assert torch.info.version == onnx.info.version
    for ours, theirs in zip(torch.score(log), onnx.score(log), strict=True):
        assert dict(ours.items) == pytest.approx(dict(theirs.items), rel=1e-4)
        assert ours.vector == pytest.approx(theirs.vector, rel=1e-3, abs=1e-5)
