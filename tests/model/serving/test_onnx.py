"""The CPU engine: full and cold scores, and the libraries that it does not need."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.artifact.artifact import Artifact
from model.errors import ScorerError
from model.features import Padded
from model.outputs import Outputs
from model.scorer import Scorer
from model.sequence import Sequence
from model.serving import load_scorer
from model.serving.onnx import OnnxScorer


@pytest.fixture(scope="module")
def scorer(tiny_artifact: Artifact) -> OnnxScorer:
    return OnnxScorer(tiny_artifact)


def clicks(*items: str) -> Sequence:
    times_ms = tuple(range(len(items)))
    return Sequence(items, ("click",) * len(items), times_ms, len(items))


def test_info_names_the_model(scorer: Scorer, tiny_artifact: Artifact) -> None:
    assert scorer.info[:4] == ("tiny", tiny_artifact.version, "cpu", 1800)


def test_the_vocabulary_is_what_the_artifact_knows(scorer: Scorer, tiny_artifact: Artifact) -> None:
    known = scorer.vocabulary

    assert known.actions == frozenset({"click", "cart", "buy"})
    assert known.items is not None and "i59" in known.items and "gone" not in known.items
    catalogue = tiny_artifact.read_catalogue()
    assert {known.category_of(item) for item in catalogue.items} == {None, *catalogue.categories}
    assert known.intents == {"cart": ("cart",), "buy": ("buy",)}
    assert known.window == tiny_artifact.config.max_length


def test_a_full_score_has_the_best_items_first(scorer: Scorer) -> None:
    (score,) = scorer.score([clicks("i1", "i2", "i1")])
    chances = [chance for _, chance in score.items]

    assert score.quality == "full"
    assert len(score.items) == 5
    assert chances == sorted(chances, reverse=True)
    assert 0 < sum(chances) < 1
    assert len({item for item, _ in score.items}) == 5
    assert [len(score.categories), *score.intent] == [3, "cart", "buy"]
    assert all(0 < chance < 1 for chance in score.intent.values())


@pytest.mark.parametrize("sequence", [clicks(), clicks("gone"), clicks("i1", *["gone"] * 50)])
def test_without_a_known_item_the_score_is_popularity(scorer: Scorer, sequence: Sequence) -> None:
    (score,) = scorer.score([sequence])
    total = 60 * 61 / 2  # counts run from 60 for i0 down to 1 for i59
    by_category = [  # every tenth item has no category
        sum(60 - i for i in range(60) if i % 4 == c and i % 10 != 9) for c in range(4)
    ]

    assert score.quality == "cold"
    assert score.items == [(f"i{i}", float(f"{(60 - i) / total:.6g}")) for i in range(5)]
    assert score.categories[0] == ("c0", float(f"{by_category[0] / sum(by_category):.6g}"))
    assert score.intent == {"cart": 0.12, "buy": 0.03}  # the base rates


def test_the_result_has_the_order_of_the_input(scorer: Scorer) -> None:
    batch = [clicks("i1", "i2", "i3"), clicks(), clicks("i4"), clicks("gone"), clicks("i1", "i2")]
    together = scorer.score(batch)

    assert [score.quality for score in together] == ["full", "cold", "full", "cold", "full"]
    assert together == [scorer.score([sequence])[0] for sequence in batch]


def test_an_empty_batch_gives_no_scores(scorer: Scorer) -> None:
    assert scorer.score([]) == []


def test_a_score_ignores_the_wall_clock(scorer: Scorer) -> None:
    sequence = clicks("i1", "i2")

    assert scorer.score([sequence]) == scorer.score([sequence])


class BrokenScorer(OnnxScorer):
    """Returns NaN for its second sequence."""

    def _run(self, padded: Padded) -> Outputs:
        outputs = super()._run(padded)
        outputs.intent_logits[1] = np.nan
        return outputs


def test_the_error_names_a_non_finite_output(tiny_artifact: Artifact) -> None:
    with pytest.raises(
        ScorerError, match="intent_logits is not a number for 1 of 3 sequences, expected finite"
    ):
        BrokenScorer(tiny_artifact).score([clicks("i1"), clicks("i2"), clicks("i3")])


def test_a_cpu_needs_neither_torch_nor_transformers_nor_polars(tiny_artifact: Artifact) -> None:
    program = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "transformers", "polars", "sklearn", "onnx"}:
            raise ModuleNotFoundError(name, name=name)

sys.meta_path.insert(0, Absent())
from model.serving import choose_cap, load_scorer, measure_service_curve
scorer = load_scorer(sys.argv[1])
print(scorer.score(scorer.sample(1))[0].quality, choose_cap(measure_service_curve(scorer, (1, 2))))
try:
    load_scorer(sys.argv[1], "torch")
except Exception as error:
    print(error)
"""
    command = [sys.executable, "-c", program, str(tiny_artifact.folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    scored, refused = done.stdout.splitlines()

    assert scored in ("full 1", "full 2")
    assert refused.startswith("the torch engine needs torch, which is not installed; run `make")


def test_the_null_engine_needs_no_artifact() -> None:
    scorer = load_scorer(None, "null")

    assert scorer.info.name == "null"
    assert len(scorer.score(scorer.sample(3))) == 3


def test_serving_sends_no_telemetry(tiny_artifact: Artifact, tmp_path: Path) -> None:
    """ONNX Runtime writes telemetry under the home directory before it sends it."""
    score = """
import sys
from pathlib import Path
from model.artifact.artifact import Artifact
from model.sequence import Sequence
from model.serving.onnx import OnnxScorer
OnnxScorer(Artifact.open(Path(sys.argv[1]))).score([Sequence(("i1",), ("click",), (0,), 1)])
"""
    home = tmp_path / "home"
    home.mkdir()
    # ONNX Runtime also sends nothing where a variable marks a test run.
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    command = [sys.executable, "-c", score, str(tiny_artifact.folder)]
    subprocess.run(command, env={**kept, "HOME": str(home)}, check=True)

    assert [str(path) for path in home.rglob("*")] == []
