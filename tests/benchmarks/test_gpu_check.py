"""The check of the torch engine: it says what it ran on, and fails if scores are not equal."""

from pathlib import Path

import pytest
import torch

import model
from benchmarks import gpu_check
from model.artifact.artifact import Artifact
from model.serving.onnx import OnnxScorer
from model.serving.torch import TorchScorer


@pytest.fixture(scope="module")
def demo() -> Artifact:
    return Artifact.open(Path(model.__file__).parent / "demo_artifact")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    for name, value in {"SIZES": (1, 2), "BATCHES": (1, 7), "ROUNDS": 1, "SQUARE": 64}.items():
        monkeypatch.setattr(gpu_check, name, value)


def test_without_a_gpu_it_runs_the_same_on_a_cpu_and_says_so(
    demo: Artifact, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gpu_check.check(demo, tmp_path / "bf16", "cpu", 20)

    printed = capsys.readouterr().out
    assert "no GPU: the same code on one core of the CPU" in printed
    assert "none published here" in printed
    assert printed.count("TFLOP/s (") == 2  # float32 and bfloat16
    assert "[0, 0] of 20 scores differ" in printed


def test_scores_that_are_not_those_of_onnx_runtime_are_found(
    demo: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx, scorer = OnnxScorer(demo), TorchScorer(demo)
    users = scorer.sample(20)
    assert gpu_check._parity(onnx, scorer, users)

    moved = [users[-1], *users[:-1]]
    monkeypatch.setattr(onnx, "score", lambda _: scorer.score(moved))
    assert not gpu_check._parity(onnx, scorer, users)
