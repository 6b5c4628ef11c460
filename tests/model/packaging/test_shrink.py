"""The shrunken artifact: its accuracy, its refusals, and its manifest."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from model.artifact.artifact import GRAPH, METRICS, NETWORK_CONFIG, WEIGHTS, Artifact
from model.artifact.page import page, shrunk_figures
from model.data.dataset import Period
from model.errors import ArtifactError
from model.evaluation.exam import Exam
from model.graphs.sequence_int8 import Rows
from model.packaging import shrink as shrinking
from model.packaging.shrink import Trial, measure, shrink, size_bytes
from model.serving import load_scorer
from model.serving.onnx import OnnxScorer
from tests.model.shop_log import histories

pytestmark = pytest.mark.timeout(400)  # libraries to load and graphs to export, one core shared


def test_a_row_is_off_by_at_most_half_a_unit_and_keeps_its_largest_value() -> None:
    torch.manual_seed(1)
    table = torch.randn(50, 32) * torch.logspace(-6, 3, 50)[:, None]
    rows = Rows.of(table)
    back = rows.codes.float() * rows.units
    largest = table.abs().amax(1)

    assert rows.codes.dtype == torch.int8
    assert torch.allclose(rows.units[:, 0], largest / 127)
    assert ((back - table).abs() <= rows.units * 0.5001).all()
    assert torch.allclose(back.abs().amax(1), largest)


def test_a_non_negative_table_has_twice_as_many_steps() -> None:
    rows = Rows.of(torch.tensor([[0.0, 0.4, 1.0]]))

    assert rows.codes.dtype == torch.uint8
    assert rows.codes.tolist() == [[0, 0.4 * 255, 255]]


def test_a_row_of_zeros_stays_zero() -> None:
    rows = Rows.of(torch.zeros(2, 3))

    assert (rows.codes.float() * rows.units).tolist() == [[0.0] * 3] * 2


def test_the_tables_in_the_graph_take_one_byte_per_number(small_artifact: Artifact) -> None:
    graph = onnx.load(small_artifact.path(GRAPH)).graph
    tables = [numpy_helper.to_array(table) for table in graph.initializer]
    rules = [t for t in tables if sorted(t.shape) == [2, 3, 62]]
    companions = [t for t in tables if t.shape == (62, 3) and t.dtype != np.float32]

    assert [table.dtype for table in tables if table.shape == (62, 16)] == [np.int8]
    assert [table.dtype for table in rules] == [np.uint8]
    assert [table.dtype for table in companions] == [np.uint16]


def test_probabilities_are_close_to_those_of_the_original(
    tiny_artifact: Artifact, small_artifact: Artifact
) -> None:
    whole, small = OnnxScorer(tiny_artifact), OnnxScorer(small_artifact)
    users = whole.sample(200)
    before, after = whole.probabilities(users), small.probabilities(users)

    assert not np.array_equal(before, after)
    assert np.abs(after.sum(axis=1) - 1).max() < 1e-5  # rounded rules still sum to their weight
    # A row is off by 1/254 of its largest value, so probabilities are off by about a percent.
    assert np.abs(np.log(after / before)).max() < 0.2
    assert np.abs(after - before).max() < 0.02


def test_it_has_all_files_of_the_original_but_the_weights(
    tiny_artifact: Artifact, small_artifact: Artifact
) -> None:
    missing = set(tiny_artifact.manifest.files) - set(small_artifact.manifest.files)

    assert missing == {WEIGHTS, NETWORK_CONFIG}
    assert small_artifact.version != tiny_artifact.version
    assert small_artifact.manifest.made["by"] == "tests/model/conftest.py"
    assert small_artifact.manifest.made["shrunk"] == {
        "from": tiny_artifact.version,
        "from_bytes": size_bytes(tiny_artifact),
        "tables": "int8",
        "measured_on": "nothing",
    }


def test_the_torch_engine_refuses_it(small_artifact: Artifact, tiny_artifact: Artifact) -> None:
    with pytest.raises(
        ArtifactError,
        match="is shrunken: it has a graph for the onnx engine and no weights; use that engine, "
        f"or the artifact {tiny_artifact.version} that it was made from$",
    ):
        load_scorer(small_artifact.folder, "torch", "cpu")


def test_it_is_not_shrunk_again(small_artifact: Artifact, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="is shrunken: it has"):
        shrink(small_artifact, tmp_path / "smaller")

    assert not list(tmp_path.iterdir())


def test_both_are_measured_on_the_same_questions(tiny_artifact: Artifact, tmp_path: Path) -> None:
    log = histories("abcabc", "cab", "bbca")
    catalogue = tiny_artifact.read_catalogue()  # the log's items are its first three
    exam = Exam.of(log, catalogue, tiny_artifact.config, Period(-1, 1 << 60))
    heard: list[int] = []
    small = shrink(tiny_artifact, tmp_path / "small", Trial(exam, "f00d", heard.append))
    said = small.read_object(METRICS)

    assert sum(heard) == 2 * len(exam)
    assert said["recall_at_20"] == 0.5  # the figures already there stay
    found = said["shrunk"]
    assert found["measured_on"] == {"fingerprint": "f00d", "questions": len(exam)}
    assert found["before"] == measure(tiny_artifact, Trial(exam, "", heard.append))
    assert found["after"] == measure(small, Trial(exam, "", heard.append))
    assert shrunk_figures(["cart", "buy"]) == [
        "recall@20",
        "mrr@20",
        "ndcg@20",
        "cart ece",
        "buy ece",
    ]
    assert small.manifest.made["shrunk"] == {
        "from": tiny_artifact.version,
        "from_bytes": size_bytes(tiny_artifact),
        "tables": "int8",
        **found,
    }
    assert set(found["after"]) == set(shrunk_figures(["cart", "buy"]))
    shown = page(small.manifest.to_json(), said).split("\n\n")
    (section,) = (part for part in shown if part.startswith("shrunk: before and after"))
    after = found["after"]["mrr@20"]
    assert f"{found['before']['mrr@20']:.4f}  {after:.4f}" in section


def test_a_network_without_such_tables_is_refused(
    tiny_artifact: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shrinking, "load_network", lambda _: object())
    with pytest.raises(ArtifactError, match=r"has no tables to shrink; serve it unchanged$"):
        shrink(tiny_artifact, tmp_path / "small")
