"""The engine for GPUs, and the second opinion on a CPU: torch, the same numbers."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.artifact.artifact import WEIGHTS, Artifact
from model.artifact.network import load_network
from model.errors import ScorerError
from model.features import Padded
from model.graphs.build import graph_of
from model.graphs.servable import Servable
from model.outputs import Outputs, Reals
from model.serving.engine import CHUNK_ROWS, ArtifactScorer
from model.serving.options import NO_OPTIONS, ScoringOptions

Arrays = list[npt.NDArray[Any]]

CUDA_ROWS = 256
_WARM_UP_RUNS = 3


class TorchScorer(ArtifactScorer):
    """Scores with the artifact's weights on one device: ``cpu``, ``cuda`` or ``cuda:N``.

    On a GPU every chunk has one and the same shape, so a score has the same bits whatever its
    batch mates; on a CPU it may differ in the seventh digit from one batch to the next.
    """

    def __init__(
        self, artifact: Artifact, device: str = "cpu", options: ScoringOptions = NO_OPTIONS
    ) -> None:
        """Load the weights, and capture the graph on a GPU.

        Raises ``ArtifactError`` if the weights do not fit, ``ScorerError`` without the device,
        ``OptionsError`` if the options do not fit.
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
        except RuntimeError as error:  # torch's own errors, out of memory among them
            raise ScorerError(
                f"torch failed on {len(padded.lengths)} sequences on {self.info.device} ({error})"
            ) from error


class Runner(Protocol):
    """Takes padded arrays through the graph on some device."""

    def run(self, padded: Padded) -> Arrays:
        """The outputs it was made for, one row for each row of the input."""
        ...


class CpuRunner:
    """Runs the graph as it is."""

    def __init__(self, graph: Servable, names: tuple[str, ...]) -> None:
        self._graph = graph
        self._places = _places(graph, names)

    @torch.inference_mode()
    def run(self, padded: Padded) -> Arrays:
        """See ``Runner``."""
        inputs = (torch.from_numpy(getattr(padded, name)) for name in self._graph.inputs)
        outputs = self._graph(*inputs)
        return [outputs[place].numpy() for place in self._places]


class CudaRunner:
    """Replays one captured CUDA graph: a fixed shape, fixed buffers, one copy each way.

    One shape only, though a small batch would be done sooner in a small one: cuBLAS takes
    another kernel for another shape, and with it other bits.
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
        self._places = _places(graph, names)
        self._rows, self._width = rows, width
        self._device = device
        size = (3 * width + 2) * rows
        with torch.inference_mode(), torch.cuda.device(device), _exact():
            # Pinned, so that the copies need no staging and do not wait for one another.
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
        # A copy: the next run writes into the same buffers.
        return [np.array(host.numpy()[:rows]) for host in self._host_outputs]

    def _capture(self) -> None:
        places = map(Padded._fields.index, self._graph.inputs)
        buffers = self._split(self._inputs)
        inputs = [buffers[place] for place in places]
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries set themselves up outside of the capture
            for _ in range(_WARM_UP_RUNS):
                self._graph(*inputs)
        torch.cuda.current_stream().wait_stream(stream)
        self._captured = torch.cuda.CUDAGraph()
        # Thread-local: the model that serves goes on while this one is loaded beside it.
        with torch.cuda.graph(self._captured, capture_error_mode="thread_local"):
            outputs = self._graph(*inputs)
            self._outputs: list[Tensor] = [outputs[place] for place in self._places]
        self._host_outputs = [
            torch.empty(out.shape, dtype=out.dtype, pin_memory=True) for out in self._outputs
        ]

    def _split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """A view for each field of ``Padded``, whether the graph takes it or not."""
        codes, rest = torch.split(flat, [3 * self._rows * self._width, 2 * self._rows])
        return *codes.view(3, self._rows, self._width), *rest.view(2, self._rows)


def _exact() -> AbstractContextManager[None]:
    """Without cuDNN, which computes GRU and LSTM in TF32: 3e-5 off, measured on an H200."""
    flags: AbstractContextManager[None] = torch.backends.cudnn.flags(enabled=False)
    return flags


def _places(graph: Servable, names: tuple[str, ...]) -> list[int]:
    """Where these outputs stand among the graph's; raises ``ScorerError`` for one it has not."""
    for name in names:
        if name not in graph.outputs:
            raise ScorerError(
                f"the network puts out {', '.join(graph.outputs)}, the options need {name}; "
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
            "GPUs; install a torch built for CUDA and its driver, or use the device cpu"
        )
    return device
