"""An artifact's graph beside the same graph, cut to some of its outputs."""

from types import SimpleNamespace
from typing import Any

from model.artifact.artifact import GRAPH, Artifact
from model.features import Padded
from model.onnx_session import session_of
from model.outputs import Outputs
from model.packaging.export import _sample
from model.serving.graph_file import GraphFile


def a_batch(artifact: Artifact) -> Padded:
    network: Any = SimpleNamespace(config=SimpleNamespace(items=artifact.manifest.items))
    return _sample(network, artifact.config, rows=48)


def assert_the_outputs_that_stay_have_the_same_bits(artifact: Artifact, *names: str) -> None:
    """Those that a worker needs, and these."""
    path, batch = artifact.path(GRAPH), a_batch(artifact)
    whole, cut = session_of(path), session_of(GraphFile.read(path).cut(Outputs._fields + names))
    inputs = {put.name: getattr(batch, put.name) for put in whole.get_inputs()}

    assert [put.name for put in cut.get_outputs()] == [*Outputs._fields, *names]
    found = dict(zip((put.name for put in cut.get_outputs()), cut.run(None, inputs), strict=True))
    for name, values in found.items():
        (expected,) = whole.run([name], inputs)
        assert values.tobytes() == expected.tobytes(), name
