"""The GPU engine: torch; on a CPU the same code serves to check the ONNX engine."""

from collections.abc import Iterator, Mapping

import torch

from model.artifact.artifact import WEIGHTS, Artifact
from model.artifact.network import load_network
from model.errors import ScorerError, how_to_install
from model.features import Padded
from model.graphs.build import best_graph_of, graph_of
from model.outputs import Outputs, Reals
from model.serving.engine import ArtifactScorer, Ints
from model.serving.failures import failure
from model.serving.options import NO_OPTIONS, ScoringOptions
from model.serving.refining import PROBABILITIES
from model.serving.runner import Runner


class TorchScorer(ArtifactScorer):
    """Scores with the artifact's weights on one device: ``cpu``, ``cuda`` or ``cuda:N``.

    A score's bits do not depend on the batch; those of two devices differ in the seventh digit.
    """

    def __init__(
        self, artifact: Artifact, device: str = "cpu", options: ScoringOptions = NO_OPTIONS
    ) -> None:
        """Load the weights, and run the graph in each of its shapes.

        Raises ``ArtifactError`` if the weights do not fit, ``ScorerError`` if the device is
        missing, ``OptionsError`` if the options do not fit.
        """
        where = _device(device)
        super().__init__(artifact, str(where), options=options)
        network = load_network(artifact)
        artifact.check_fit(WEIGHTS, network.config.items, network.config.categories, self.catalogue)
        build = graph_of if PROBABILITIES in self._needs else best_graph_of
        graph = build(network, artifact.config).to(where)
        self._names = (*Outputs._fields, *self._needs)
        self._runner = Runner(graph, self._names, artifact.config, len(self.catalogue), where)

    @property
    def shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The numbers of rows, and the widths, in which the graph is run."""
        return self._runner.shapes.rows, self._runner.shapes.widths

    def _cut(self, lengths: Ints) -> Iterator[slice]:
        return self._runner.shapes.cut(lengths)

    def _run(self, padded: Padded) -> Outputs:
        return self._run_further(padded, ())[0]

    def _run_further(
        self, padded: Padded, names: tuple[str, ...]
    ) -> tuple[Outputs, Mapping[str, Reals]]:
        if not set(names) <= set(self._names):
            return super()._run_further(padded, names)
        try:
            found = dict(zip(self._names, self._runner.run(padded), strict=True))
            return Outputs(*(found[name] for name in Outputs._fields)), found
        except (RuntimeError, MemoryError) as error:  # RuntimeError: torch's own, also for memory
            engine, rows = f"torch on {self.info.device}", len(padded.lengths)
            raise failure(engine, error, rows, "look at the device, and the log") from error


def _device(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ScorerError(f"device is {name!r}, expected cpu, cuda or cuda:N") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ScorerError(
            f"device is {name!r}, but torch {torch.__version__} sees {torch.cuda.device_count()} "
            f"GPUs; install the GPU's driver and {how_to_install('setup GPU=1')}, or use the "
            "device cpu"
        )
    return device
