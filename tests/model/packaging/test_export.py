"""The export: the graph's signature and metadata, and that a wrong graph is refused."""

from pathlib import Path

import onnx
import pytest
import torch

from model.artifact.artifact import GRAPH, Artifact
from model.artifact.network import load_network
from model.errors import ArtifactError
from model.graphs.build import graph_of
from model.graphs.sequence import ServingGraph
from model.onnx_session import session_of
from model.packaging.export import _check, _sample
from tests.model.conftest import random_network


def test_the_graph_has_the_inputs_and_outputs_of_the_engines(tiny_artifact: Artifact) -> None:
    session = session_of(tiny_artifact.path(GRAPH))

    assert {put.name: put.type for put in session.get_inputs()} == dict.fromkeys(
        ServingGraph.inputs, "tensor(int32)"
    )
    assert {put.name: put.shape[1] for put in session.get_outputs()} == {
        "top_items": 5,
        "top_probs": 5,
        "category_probs": 4,
        "intent_logits": 2,
        "probabilities": 60,
        "user_vectors": 16,
        "copy_logits": "length",
        "rule_logits": 2,  # ways of counting
    }
    assert session.get_modelmeta().custom_metadata_map == {"items": "60", "categories": "4"}


def test_the_graph_does_not_reveal_where_it_was_exported(tiny_artifact: Artifact) -> None:
    content = tiny_artifact.path(GRAPH).read_bytes()

    assert b".py" not in content
    assert b"stack_trace" not in content


def test_a_graph_that_differs_from_torch_is_refused(tiny_artifact: Artifact) -> None:
    network = load_network(tiny_artifact)
    sample = _sample(network, tiny_artifact.config, rows=8)
    path = tiny_artifact.path(GRAPH)
    _check(graph_of(network, tiny_artifact.config), path, sample)

    other = random_network(60, 4)
    with torch.no_grad():
        other.get_parameter("intent.2.bias").add_(0.01)
    with pytest.raises(ArtifactError, match=r"intent_logits is off by 1\.\de-02 from torch"):
        _check(graph_of(other, tiny_artifact.config), path, sample)


def test_a_graph_with_a_fixed_width_is_refused(tiny_artifact: Artifact, tmp_path: Path) -> None:
    # torch 2.11 exports a GRU like this: the window's length is a constant in the graph.
    network = load_network(tiny_artifact)
    graph = onnx.load(tiny_artifact.path(GRAPH))
    for put in graph.graph.input:
        if len(put.type.tensor_type.shape.dim) == 2:
            put.type.tensor_type.shape.dim[1].dim_value = tiny_artifact.config.padded_length
    path = tmp_path / GRAPH
    onnx.save(graph, path)
    serving = graph_of(network, tiny_artifact.config)
    _check(serving, path, _sample(network, tiny_artifact.config, rows=8))

    with pytest.raises(ArtifactError, match="fails on windows 4 wide"):
        _check(serving, path, _sample(network, tiny_artifact.config, rows=8, width=4))
