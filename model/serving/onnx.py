"""The CPU engine: ONNX Runtime on one thread; a score's bits do not depend on the batch."""

from typing import TYPE_CHECKING, Any

from model.artifact.artifact import GRAPH, Artifact
from model.errors import ModelError, OutOfResourcesError
from model.features import Padded
from model.onnx_session import session_of
from model.outputs import Outputs, Reals
from model.serving.engine import CHUNK_ROWS, ArtifactScorer
from model.serving.failures import failure, is_resource
from model.serving.graph_file import GraphFile
from model.serving.options import NO_OPTIONS, ScoringOptions

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


class OnnxScorer(ArtifactScorer):
    """Scores on one core; needs neither torch nor transformers."""

    def __init__(self, artifact: Artifact, options: ScoringOptions = NO_OPTIONS) -> None:
        """Load the graph; raises ``ArtifactError`` if it does not fit its catalogue.

        Raises ``OptionsError`` if the options do not fit, ``ArtifactError`` if they need an
        output that the graph lacks.
        """
        super().__init__(artifact, "cpu", CHUNK_ROWS, options)
        self._artifact = artifact
        self._sessions: dict[tuple[str, ...], InferenceSession] = {}  # by their outputs
        self._inputs = self._check_inputs(self._session_of(self._scored))

    @property
    def _scored(self) -> tuple[str, ...]:
        """The outputs that ``score`` takes."""
        return (*Outputs._fields, *self._needs)

    def _run(self, padded: Padded) -> Outputs:
        return self._run_further(padded, ())[0]

    def _run_further(
        self, padded: Padded, names: tuple[str, ...]
    ) -> tuple[Outputs, dict[str, Reals]]:
        found = self._compute((*Outputs._fields, *names), padded)
        known = len(Outputs._fields)
        return Outputs(*found[:known]), dict(zip(names, found[known:], strict=True))

    def _compute(self, outputs: tuple[str, ...], padded: Padded) -> list[Any]:
        """These outputs of the graph; raises ``ScorerError``."""
        session = self._session_of(outputs)
        try:
            inputs = {name: getattr(padded, name) for name in self._inputs}
            return list(session.run(outputs, inputs))
        except Exception as error:
            rows = len(padded.lengths)
            raise failure("ONNX Runtime", error, rows, "export the artifact again") from error

    def _session_of(self, outputs: tuple[str, ...]) -> "InferenceSession":
        """A session of the graph cut to these outputs, as ONNX Runtime computes all that it has."""
        if outputs not in self._sessions:
            graph = self._read_graph()
            self._check_outputs(graph.outputs, outputs)
            try:
                self._sessions[outputs] = session_of(graph.cut(outputs))
            except Exception as error:  # noqa: BLE001 - they have no common base
                raise self._unusable(error) from None
        return self._sessions[outputs]

    def _read_graph(self) -> GraphFile:
        try:
            return GraphFile.read(self._artifact.path(GRAPH))
        except (OSError, ValueError, MemoryError) as error:
            raise self._unusable(error) from None

    def _unusable(self, error: Exception) -> ModelError:
        if is_resource(error):
            folder = self._artifact.folder
            return OutOfResourcesError(
                f"{folder}: no memory to load {GRAPH} ({error}); give the worker more"
            )
        return self._artifact.error(
            f"{GRAPH} cannot be loaded by ONNX Runtime ({error}); export the artifact again"
        )

    def _check_outputs(self, outputs: tuple[str, ...], names: tuple[str, ...]) -> None:
        known = Outputs._fields  # more outputs may follow
        if outputs[: len(known)] != known:
            raise self._artifact.error(
                f"{GRAPH} has the outputs {', '.join(outputs)}, expected to begin with "
                f"{', '.join(known)}; export it again"
            )
        for name in names:
            if name not in outputs:
                raise self._artifact.error(
                    f"{GRAPH} has the outputs {', '.join(outputs)}, but {name} is needed; "
                    "train or export it again, or leave the option out"
                )

    def _check_inputs(self, session: "InferenceSession") -> tuple[str, ...]:
        """Check what the graph takes and what it was made for; returns its inputs."""
        inputs = tuple(put.name for put in session.get_inputs())
        if not set(inputs) <= set(Padded._fields):
            raise self._artifact.error(
                f"{GRAPH} has the inputs {', '.join(inputs)}, expected some of "
                f"{', '.join(Padded._fields)}; export it again"
            )
        made_for = session.get_modelmeta().custom_metadata_map
        items, categories = (int(made_for.get(noun, 0)) for noun in ("items", "categories"))
        self._artifact.check_fit(GRAPH, items, categories, self.catalogue)
        return inputs
