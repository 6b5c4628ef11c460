"""A graph that is cut computes what is asked for alone, with the same bits."""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from torch import nn

from model.artifact.artifact import GRAPH, Artifact
from model.config import ArtifactConfig
from model.errors import ArtifactError
from model.features import Padded
from model.graphs.build import graph_of
from model.networks.candidates import Neighbours
from model.networks.mlp import MlpConfig, MlpModel
from model.networks.path import PathConfig, PathModel
from model.onnx_session import session_of
from model.outputs import Outputs
from model.packaging.export import _inputs, _sample, export_onnx
from model.serving.graph_file import GraphFile
from model.serving.onnx import OnnxScorer

pytestmark = pytest.mark.timeout(400)  # may have to export a graph first

EXTRA = ("probabilities", "user_vectors")


@pytest.fixture(scope="module", params=["tiny_artifact", "small_artifact"])
def artifact(request: pytest.FixtureRequest) -> Artifact:
    found: Artifact = request.getfixturevalue(request.param)
    return found


def a_batch(artifact: Artifact) -> Padded:
    network: Any = SimpleNamespace(config=SimpleNamespace(items=artifact.manifest.items))
    return _sample(network, artifact.config, rows=48)


@pytest.mark.parametrize("names", [(), EXTRA[:1], EXTRA[1:], EXTRA])
def test_the_outputs_that_stay_have_the_same_bits(
    artifact: Artifact, names: tuple[str, ...]
) -> None:
    path = artifact.path(GRAPH)
    whole, cut = session_of(path), session_of(GraphFile.read(path).cut(Outputs._fields + names))
    inputs = {put.name: getattr(a_batch(artifact), put.name) for put in whole.get_inputs()}

    assert [put.name for put in cut.get_outputs()] == [*Outputs._fields, *names]
    found = dict(zip((put.name for put in cut.get_outputs()), cut.run(None, inputs), strict=True))
    for name, values in found.items():
        (expected,) = whole.run([name], inputs)
        assert values.tobytes() == expected.tobytes(), name


def mlp() -> MlpModel:
    shape = MlpConfig(
        items=30, categories=3, max_length=8, width=8, hidden=(16, 8), neighbours=1, popular=6
    )
    network = MlpModel(shape)
    nobody = Neighbours(np.zeros((32, 1), dtype=np.int64), np.zeros((32, 1), dtype=np.float32))
    network.set_items(torch.arange(30) % 3, np.arange(30, 0, -1), nobody)
    nn.Module.eval(network)
    return network


def path() -> PathModel:
    network = PathModel(PathConfig(items=30, categories=3, max_length=8))
    network.set_items(torch.arange(30) % 3, torch.arange(30, 0, -1))
    nn.Module.eval(network)
    return network


@pytest.mark.parametrize("make", [mlp, path])
def test_so_have_those_of_the_other_networks(
    make: Callable[[], MlpModel | PathModel], tmp_path: Path
) -> None:
    torch.manual_seed(3)
    config = ArtifactConfig(network=make.__name__, max_length=8, top_items=5)
    network = make()
    whole = session_of(export_onnx(network, config, tmp_path))
    cut = session_of(GraphFile.read(tmp_path / GRAPH).cut(Outputs._fields))
    inputs = _inputs(graph_of(network, config), _sample(network, config, rows=48))

    for expected, found in zip(
        whole.run(Outputs._fields, inputs), cut.run(None, inputs), strict=True
    ):
        assert found.tobytes() == expected.tobytes()


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
