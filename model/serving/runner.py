"""The runner: runs a graph on a device in fixed shapes, with one copy in and one copy out."""

from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.config import ArtifactConfig
from model.errors import ScorerError
from model.features import Padded, random_windows
from model.graphs.servable import Servable
from model.serving.shapes import Shapes

Arrays = list[npt.NDArray[Any]]

ROWS = 64  # of the shape whose bits count; a batch of one costs no more than this
_FEWER_ROWS = (16, 32, 48)
_MORE_ROWS = 256  # on a GPU
_SAMPLE_ROWS = 64  # compared at load, for each width
_WARM_UP_RUNS = 3


class Runner:
    """Runs a graph for up to ``shapes.rows[-1]`` sequences of one width at a time.

    A multiply of another shape may be another kernel, which adds in another order. So a smaller
    or larger number of rows is used only if it gave the same bits as ``ROWS`` when it was loaded:
    a score's bits do not depend on the batch.
    """

    def __init__(
        self,
        graph: Servable,
        names: tuple[str, ...],
        config: ArtifactConfig,
        items: int,
        device: torch.device,
    ) -> None:
        """Warm up every shape; ``items`` is the size of the catalogue.

        Raises ``ScorerError`` if the graph lacks one of the outputs named.
        """
        self._graph = graph
        self._indices = _indices(graph, names)
        self._device = device
        self._loaded: dict[tuple[int, int], _Shape] = {}
        self._pool: Any = None  # of memory, that the graphs captured share
        rows = (*_FEWER_ROWS, ROWS, *([_MORE_ROWS] if device.type == "cuda" else []))
        every = Shapes(config.padded_length, rows)
        samples = [random_windows(config, items, _SAMPLE_ROWS, width) for width in every.widths]
        expected = [self._bits(sample, ROWS) for sample in samples]
        alike = [count for count in rows if self._gives(expected, samples, count)]
        self.shapes = Shapes(config.padded_length, tuple(alike))
        self._loaded = {key: one for key, one in self._loaded.items() if key[0] in alike}

    def run(self, padded: Padded) -> Arrays:
        """The outputs named, one row per input row."""
        return self._run(padded, *self.shapes.of(*padded.items.shape))

    @torch.inference_mode()
    def _run(self, padded: Padded, rows: int, width: int) -> Arrays:
        with _on(self._device):
            if (rows, width) not in self._loaded:
                self._loaded[rows, width] = self._load(rows, width)
            return self._loaded[rows, width].run(padded)

    def _load(self, rows: int, width: int) -> "_Shape":
        shape = _Shape(self._graph, self._indices, rows, width, self._device)
        if self._device.type == "cuda":
            if self._pool is None:
                self._pool = torch.cuda.graph_pool_handle()
            shape.capture(self._pool)
        return shape

    def _gives(self, expected: list[list[bytes]], samples: list[Padded], rows: int) -> bool:
        """Whether so many rows at a time give the bits expected of each sample."""
        return rows == ROWS or all(
            self._bits(sample, rows) == bits for sample, bits in zip(samples, expected, strict=True)
        )

    def _bits(self, sample: Padded, rows: int) -> list[bytes]:
        """The outputs for a sample; as bytes, since NaN equals nothing."""
        width = sample.items.shape[1]
        parts = [
            self._run(Padded(*(codes[at : at + rows] for codes in sample)), rows, width)
            for at in range(0, len(sample.lengths), rows)
        ]
        return [np.concatenate(part).tobytes() for part in zip(*parts, strict=True)]


class _Shape:
    """The buffers of one shape, and the graph over them."""

    def __init__(
        self, graph: Servable, indices: list[int], rows: int, width: int, device: torch.device
    ) -> None:
        self._graph, self._indices = graph, indices
        self._rows, self._width = rows, width
        self._device = device
        # Pinned, so that a copy is asynchronous and needs no staging buffer.
        pinned = device.type == "cuda"
        size = (3 * width + 2) * rows
        self._host = torch.zeros(size, dtype=torch.int32, pin_memory=pinned)
        self._views = Padded(*(view.numpy() for view in self._split(self._host)))
        self._inputs = torch.zeros(size, dtype=torch.int32, device=device)
        self._captured: torch.cuda.CUDAGraph | None = None
        self._outputs = self._compute()  # (rows, W), after a first run, which loads libraries
        self._host_outputs = torch.empty(self._outputs.shape, dtype=torch.int32, pin_memory=pinned)

    def run(self, padded: Padded) -> Arrays:
        """The outputs for at most ``rows`` sequences, at most ``width`` wide."""
        rows, width = padded.items.shape
        self._host.zero_()
        for codes, view in zip(padded[:3], self._views[:3], strict=True):
            view[:rows, :width] = codes
        self._views.lengths[:rows] = padded.lengths
        self._views.hours[:rows] = padded.hours
        self._inputs.copy_(self._host, non_blocking=True)
        if self._captured is None:
            self._outputs = self._compute()
        else:
            self._captured.replay()
        found = self._host_outputs[:rows]
        found.copy_(self._outputs[:rows], non_blocking=True)
        if self._device.type == "cuda":
            torch.cuda.current_stream().synchronize()
        return self._unpack(found.numpy())

    def capture(self, pool: Any) -> None:
        """Replay from now on what the graph does, without a call for each of its operations."""
        stream: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries must initialise before the capture
            for _ in range(_WARM_UP_RUNS):
                self._compute()
        torch.cuda.current_stream().wait_stream(stream)
        captured = torch.cuda.CUDAGraph()
        # Thread-local: another model may be serving while this one is loaded.
        with torch.cuda.graph(captured, pool=pool, capture_error_mode="thread_local"):
            self._outputs = self._compute()
        self._captured = captured

    def _compute(self) -> Tensor:
        """The outputs side by side as 32-bit integers, so that one copy brings all of them."""
        fields = self._split(self._inputs)
        indices = map(Padded._fields.index, self._graph.inputs)
        found = self._graph(*(fields[index] for index in indices))
        outputs = [found[index] for index in self._indices]
        self._shapes = [(out.shape[1:], out.is_floating_point()) for out in outputs]
        return torch.cat([_as_integers(out).flatten(1) for out in outputs], dim=1)

    def _unpack(self, packed: npt.NDArray[np.int32]) -> Arrays:
        # Copied, since the next run writes into the same buffer.
        arrays: Arrays = []
        start = 0
        for shape, real in self._shapes:
            end = start + shape.numel()
            part = packed[:, start:end].copy()
            found = part.view(np.float32) if real else part.astype(np.int64)
            arrays.append(found.reshape(len(packed), *shape))
            start = end
        return arrays

    def _split(self, flat: Tensor) -> tuple[Tensor, ...]:
        """A view for each field of ``Padded``, including those that the graph ignores."""
        codes, rest = torch.split(flat, [3 * self._rows * self._width, 2 * self._rows])
        return *codes.view(3, self._rows, self._width), *rest.view(2, self._rows)


def _as_integers(out: Tensor) -> Tensor:
    return out.contiguous().view(torch.int32) if out.is_floating_point() else out.int()


def _on(device: torch.device) -> AbstractContextManager[Any]:
    """Make the device the current one; a GPU without cuDNN, which computes GRU and LSTM in TF32.

    That is off by 3e-5, measured on an H200.
    """
    stack = ExitStack()
    if device.type == "cuda":
        stack.enter_context(torch.cuda.device(device))
        stack.enter_context(torch.backends.cudnn.flags(enabled=False))
    return stack


def _indices(graph: Servable, names: tuple[str, ...]) -> list[int]:
    """The indices of these outputs in the graph's; raises ``ScorerError`` for a missing one."""
    for name in names:
        if name not in graph.outputs:
            raise ScorerError(
                f"the network has the outputs {', '.join(graph.outputs)}, the options need {name}; "
                "leave the options out"
            )
    return [graph.outputs.index(name) for name in names]
