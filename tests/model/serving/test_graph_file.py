"""A graph that is cut computes what is asked for alone, with the same bits."""

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from model.artifact.artifact import GRAPH, Artifact
from model.errors import ArtifactError
from model.onnx_session import session_of
from model.outputs import Outputs
from model.serving.graph_file import GraphFile
from model.serving.onnx import OnnxScorer
from tests.model.cut_graph import assert_the_outputs_that_stay_have_the_same_bits

pytestmark = pytest.mark.timeout(400)  # may have to export a graph first

EXTRA = ("probabilities", "user_vectors")


@pytest.fixture(scope="module", params=["tiny_artifact", "small_artifact"])
def artifact(request: pytest.FixtureRequest) -> Artifact:
    found: Artifact = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("names", [(), EXTRA[:1], EXTRA[1:], EXTRA])
def test_the_outputs_that_stay_have_the_same_bits(
    artifact: Artifact, names: tuple[str, ...]
) -> None:
    """Those of the other networks: in their own tests, which have a graph."""
    assert_the_outputs_that_stay_have_the_same_bits(artifact, *names)


def test_what_nobody_needs_is_gone(artifact: Artifact) -> None:
    whole = onnx.load(artifact.path(GRAPH))
    cut = onnx.load_from_string(GraphFile.read(artifact.path(GRAPH)).cut(["user_vectors"]))
    onnx.checker.check_model(cut, full_check=True)

    read = {name for node in cut.graph.node for name in node.input} | {"user_vectors"}
    assert all(read.intersection(node.output) for node in cut.graph.node)
    assert {table.name for table in cut.graph.initializer} <= read
    assert 0 < len(cut.graph.node) < len(whole.graph.node)
    assert "table" not in read  # the catalogue's
    assert cut.metadata_props == whole.metadata_props


def test_all_outputs_are_the_file_as_it_was(artifact: Artifact) -> None:
    content = artifact.path(GRAPH).read_bytes()
    graph = GraphFile(content)

    cut = graph.cut(graph.outputs)

    assert onnx.load_from_string(cut).graph.node == onnx.load_from_string(content).graph.node
    assert GraphFile(cut).cut(graph.outputs) == cut


def with_a_branch() -> bytes:
    """A model whose branches read a value of the graph around them, and whose Dropout has a mask.

    ``z`` is x or x + 1, as ``flag`` says; ``w`` is of no use to it.
    """
    real = TensorProto.FLOAT
    value = helper.make_tensor_value_info

    def branch(name: str, node: onnx.NodeProto) -> onnx.GraphProto:
        return helper.make_graph([node], name, [], [value(node.output[0], real, None)])

    plus = branch("plus", helper.make_node("Add", ["same", "one"], ["more"]))
    plain = branch("plain", helper.make_node("Identity", ["same"], ["less"]))
    nodes = [
        helper.make_node("Dropout", ["x"], ["same", ""]),
        helper.make_node("Neg", ["x"], ["w"]),
        helper.make_node("If", ["flag"], ["z"], then_branch=plus, else_branch=plain),
    ]
    graph = helper.make_graph(
        nodes,
        "choice",
        [value("x", real, [1]), value("flag", TensorProto.BOOL, [])],
        [value("w", real, [1]), value("z", real, [1])],
        [helper.make_tensor("one", real, [1], [1.0])],
    )
    opset = [helper.make_opsetid("", 20)]
    made: bytes = helper.make_model(graph, opset_imports=opset, ir_version=10).SerializeToString()
    return made


def test_what_a_branch_reads_stays() -> None:
    session = session_of(GraphFile(with_a_branch()).cut(["z"]))
    x = np.array([2.0], dtype=np.float32)

    (more,) = session.run(None, {"x": x, "flag": np.array(True)})
    (same,) = session.run(None, {"x": x, "flag": np.array(False)})
    assert (more.tolist(), same.tolist()) == ([3.0], [2.0])


def test_an_output_that_a_node_leaves_out_keeps_no_other_node() -> None:
    cut = onnx.load_from_string(GraphFile(with_a_branch()).cut(["w"]))

    assert [node.op_type for node in cut.graph.node] == ["Neg"]
    assert list(cut.graph.initializer) == []


@given(st.binary(max_size=200) | st.integers(0, 300).map(lambda size: with_a_branch()[:size]))
@example(b"")
@example(b"\xff" * 20)
@example(b"not really a graph")
def test_anything_else_is_a_value_error(content: bytes) -> None:
    try:
        GraphFile(content).cut(["z"])
    except ValueError:
        return
    GraphFile(content)  # by chance these bytes were a model


def test_a_worker_computes_no_distribution_and_an_explanation_does(artifact: Artifact) -> None:
    scorer = OnnxScorer(artifact)
    scorer.score(scorer.sample(3))
    assert list(scorer._sessions) == [Outputs._fields]

    scorer.probabilities(scorer.sample(3))
    assert list(scorer._sessions) == [Outputs._fields, (*Outputs._fields, "probabilities")]


def test_a_file_that_is_gone_is_an_artifact_error(artifact: Artifact, tmp_path: Path) -> None:
    folder = shutil.copytree(artifact.folder, tmp_path / "gone")
    copy = Artifact.open(folder)
    (folder / GRAPH).unlink()
    with pytest.raises(ArtifactError, match=r"gone: model\.onnx cannot be loaded"):
        OnnxScorer(copy)
