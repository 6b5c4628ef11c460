"""The GPU engine: torch; on a CPU it serves to check the ONNX engine."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.artifact.artifact import WEIGHTS, Artifact
from model.artifact.network import load_network
from model.errors import ScorerError, how_to_install
from model.features import Padded
from model.graphs.build import graph_of
from model.graphs.servable import Servable
from model.outputs import Outputs, Reals
from model.serving.engine import CHUNK_ROWS, ArtifactScorer
from model.serving.failures import failure
from model.serving.options import NO_OPTIONS, ScoringOptions

Arrays = list[npt.NDArray[Any]]

CUDA_ROWS = 256
_WARM_UP_RUNS = 3


class TorchScorer(ArtifactScorer):
    """Scores with the artifact's weights on one device: ``cpu``, ``cuda`` or ``cuda:N``.

    On a GPU every chunk has the same shape, so a score's bits do not depend on the batch; on a CPU
    a score may differ in the seventh digit from one batch to the next.
    """

    def __init__(
        self, artifact: Artifact, device: str = "cpu", options: ScoringOptions = NO_OPTIONS
    ) -> None:
        """Load the weights, and capture the graph on a GPU.

        Raises ``ArtifactError`` if the weights do not fit, ``ScorerError`` if the device is
        missing, ``OptionsError`` if the options do not fit.
        """
        where = _device(device)
        rows = CUDA_ROWS if where.type == "cuda" else CHUNK_ROWS
        super().__init__(artifact, str(where), rows, options)
        network = load_network(artifact)
        artifact.check_fit(WEIGHTS, network.config.items, network.config.categories, self.catalogue)
        graph = graph_of(network, artifact.config).to(where)
        self._names = (*Outputs._fields, *self._needs)
        self._runner: Runner = (
            CudaRunner(graph, self._names, rows, artifact.config.padded_length, where)
            if where.type == "cuda"
            else CpuRunner(graph, self._names)
        )

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


class Runner(Protocol):
    """Runs the graph on a device."""

    def run(self, padded: Padded) -> Arrays:
        """The outputs that the runner was built for, one row per input row."""
        ...


class CpuRunner:
    """Runs the graph eagerly."""

    def __init__(self, graph: Servable, names: tuple[str, ...]) -> None:
        self._graph = graph
        self._indices = _indices(graph, names)

    @torch.inference_mode()
    def run(self, padded: Padded) -> Arrays:
        """See ``Runner``."""
        inputs = (torch.from_numpy(getattr(padded, name)) for name in self._graph.inputs)
        outputs = self._graph(*inputs)
        return [outputs[index].numpy() for index in self._indices]


class CudaRunner:
    """Replays one captured CUDA graph: a fixed shape, fixed buffers, one copy each way.

    There is one shape only, although a small batch would be faster in a smaller one: cuBLAS picks
    another kernel for another shape, which gives other bits.
    """

    def __init__(
        self,
        graph: Servable,
        names: tuple[str, ...],
        rows: int,
        width: int,
        device: torch.device,
    ) -> None:
        self._graph = graph
        self._indices = _indices(graph, names)
        self._rows, self._width = rows, width
        self._device = device
        size = (3 * width + 2) * rows
        with torch.inference_mode(), torch.cuda.device(device), _exact():
            # Pinned, so that copies are asynchronous and need no staging buffer.
            self._host = torch.zeros(size, dtype=torch.int32, pin_memory=True)
            self._inputs = torch.zeros(size, dtype=torch.int32, device=device)
            self._host_views = Padded(*(view.numpy() for view in self._split(self._host)))
            self._capture()

    @torch.inference_mode()
    def run(self, padded: Padded) -> Arrays:
        """See ``Runner``; at most ``rows`` rows, ``width`` wide."""
        rows, width = padded.items.shape
        for codes, view in zip(padded[:3], self._host_views[:3], strict=True):
            view[:rows, :width] = codes
            view[:rows, width:] = 0
        self._host_views.lengths[:rows] = padded.lengths
        self._host_views.hours[:rows] = padded.hours
        with torch.cuda.device(self._device):
            self._inputs.copy_(self._host, non_blocking=True)
            self._captured.replay()
            for host, device in zip(self._host_outputs, self._outputs, strict=True):
                host.copy_(device, non_blocking=True)
            torch.cuda.current_stream().synchronize()
        # Copied, since the next run writes into the same buffers.
        return [np.array(host.numpy()[:rows]) for host in self._host_outputs]

    def _capture(self) -> None:
        indices = map(Padded._fields.index, self._graph.inputs)
        buffers = self._split(self._inputs)
        inputs = [buffers[index] for index in indices]
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries must initialise before the capture
            for _ in range(_WARM_UP_RUNS):
                self._graph(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._captured = torch.cuda.CUDAGraph()
        # Thread-local: another model may be serving while this one is loaded.
        with torch.cuda.graph(self._captured, capture_error_mode="thread_local"):
            outputs = self._graph(*inputs)
            self._outputs: list[Tensor] = [outputs[index] for index in self._indices]
        self._host_outputs = [
            torch.empty(out.shape, dtype=out.dtype, pin_memory=True) for out in self._outputs
        ]

    def _split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """A view for each field of ``Padded``, including those that the graph ignores."""
        codes, rest = torch.split(flat, [3 * self._rows * self._width, 2 * self._rows])
        return *codes.view(3, self._rows, self._width), *rest.view(2, self._rows)


def _exact() -> AbstractContextManager[None]:
    """Disable cuDNN, which computes GRU and LSTM in TF32: off by 3e-5, measured on an H200."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=False)
    return flags


def _indices(graph: Servable, names: tuple[str, ...]) -> list[int]:
    """The indices of these outputs in the graph's; raises ``ScorerError`` for a missing one."""
    for name in names:
        if name not in graph.outputs:
            raise ScorerError(
                f"the network has the outputs {', '.join(graph.outputs)}, the options need {name}; "
                "leave the options out"
            )
    return [graph.outputs.index(name) for name in names]


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
