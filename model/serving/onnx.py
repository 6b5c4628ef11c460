"""The engine for CPUs: ONNX Runtime, one thread, the same bits whatever the batch mates."""

from pathlib import Path
from typing import TYPE_CHECKING

from model.artifact import GRAPH, Artifact
from model.errors import ScorerError
from model.features import Padded
from model.serving.answers import Outputs
from model.serving.engine import ArtifactScorer

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxScorer(ArtifactScorer):
    """Scores on one core, with neither torch nor transformers installed."""

    def __init__(self, artifact: Artifact) -> None:
        """Load the graph; raises ``ArtifactError`` if it does not fit its catalogue."""
        super().__init__(artifact, "cpu")
        self._session = _open_session(artifact)
        self._check_graph(artifact)

    def _run(self, padded: Padded) -> Outputs:
        try:
            return Outputs(*self._session.run(Outputs._fields, padded._asdict()))
        except Exception as error:
            raise ScorerError(
                f"ONNX Runtime failed on {len(padded.lengths)} sequences ({error}); "
                "export the artifact again"
            ) from error

    def _check_graph(self, artifact: Artifact) -> None:
        inputs = tuple(put.name for put in self._session.get_inputs())
        outputs = tuple(put.name for put in self._session.get_outputs())
        if inputs != Padded._fields or outputs != Outputs._fields:
            raise artifact.error(
                f"{GRAPH} maps {', '.join(inputs)} to {', '.join(outputs)}, expected "
                f"{', '.join(Padded._fields)} to {', '.join(Outputs._fields)}; export it again"
            )
        made_for = self._session.get_modelmeta().custom_metadata_map
        items, categories = (int(made_for.get(noun, 0)) for noun in ("items", "categories"))
        artifact.check_fit(GRAPH, items, categories, self.catalogue)


def session_of(graph: Path) -> "InferenceSession":
    """A graph on one thread that sleeps when it waits."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # A second thread gains little on a shared core, and one that spins while it waits takes the
    # core from Kafka and RocksDB: scale by workers.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _open_session(artifact: Artifact) -> "InferenceSession":
    try:
        return session_of(artifact.path(GRAPH))
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's have no common name
        raise artifact.error(
            f"{GRAPH} cannot be loaded by ONNX Runtime ({error}); export the artifact again"
        ) from None
