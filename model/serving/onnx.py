"""The CPU engine: ONNX Runtime on one thread; a score's bits do not depend on the batch."""

from typing import TYPE_CHECKING

from model.artifact.artifact import GRAPH, Artifact
from model.features import Padded
from model.onnx_session import session_of
from model.outputs import Outputs, Reals
from model.serving.engine import CHUNK_ROWS, ArtifactScorer
from model.serving.failures import failure
from model.serving.options import NO_OPTIONS, ScoringOptions

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, RunOptions


class OnnxScorer(ArtifactScorer):
    """Scores on one core; needs neither torch nor transformers."""

    def __init__(self, artifact: Artifact, options: ScoringOptions = NO_OPTIONS) -> None:
        """Load the graph; raises ``ArtifactError`` if it does not fit its catalogue.

        Raises ``OptionsError`` if the options do not fit, ``ArtifactError`` if they need an
        output that the graph lacks.
        """
        super().__init__(artifact, "cpu", CHUNK_ROWS, options)
        self._artifact = artifact
        self._session = _open_session(artifact)
        self._inputs = self._check_graph(artifact)
        self._run_options = _run_options()

    def _run(self, padded: Padded) -> Outputs:
        return self._run_further(padded, ())[0]

    def _run_further(
        self, padded: Padded, names: tuple[str, ...]
    ) -> tuple[Outputs, dict[str, Reals]]:
        self._need(names)
        wanted = (*Outputs._fields, *names)
        try:
            inputs = {name: getattr(padded, name) for name in self._inputs}
            found = self._session.run(wanted, inputs, self._run_options)
            known = len(Outputs._fields)
            return Outputs(*found[:known]), dict(zip(names, found[known:], strict=True))
        except Exception as error:
            rows = len(padded.lengths)
            raise failure("ONNX Runtime", error, rows, "export the artifact again") from error

    def _need(self, names: tuple[str, ...]) -> None:
        for name in names:
            if name not in self._outputs:
                raise self._artifact.error(
                    f"{GRAPH} has the outputs {', '.join(self._outputs)}, but {name} is needed; "
                    "train or export it again, or leave the option out"
                )

    def _check_graph(self, artifact: Artifact) -> tuple[str, ...]:
        """Check the graph's signature; returns its inputs, a subset of ``Padded``."""
        inputs = tuple(put.name for put in self._session.get_inputs())
        outputs = tuple(put.name for put in self._session.get_outputs())
        known = Outputs._fields  # more outputs may follow
        if not set(inputs) <= set(Padded._fields) or outputs[: len(known)] != known:
            raise artifact.error(
                f"{GRAPH} maps {', '.join(inputs)} to {', '.join(outputs)}, expected "
                f"{', '.join(Padded._fields)} to {', '.join(Outputs._fields)}; export it again"
            )
        self._outputs = outputs
        self._need(self._needs)
        made_for = self._session.get_modelmeta().custom_metadata_map
        items, categories = (int(made_for.get(noun, 0)) for noun in ("items", "categories"))
        artifact.check_fit(GRAPH, items, categories, self.catalogue)
        return inputs


def _run_options() -> "RunOptions":
    """Compute only the outputs requested; by default ONNX Runtime computes all of them."""
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.only_execute_path_to_fetches = True
    return options


def _open_session(artifact: Artifact) -> "InferenceSession":
    try:
        return session_of(artifact.path(GRAPH))
    except Exception as error:  # noqa: BLE001 - ONNX Runtime's exceptions have no common base
        raise artifact.error(
            f"{GRAPH} cannot be loaded by ONNX Runtime ({error}); export the artifact again"
        ) from None
