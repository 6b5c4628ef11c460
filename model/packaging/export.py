"""The export of a trained network to the graph that ONNX Runtime serves."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from model.artifact.artifact import GRAPH
from model.config import PADDING_MULTIPLE, ArtifactConfig
from model.errors import ArtifactError
from model.features import Codes, Padded, random_windows
from model.graphs.build import graph_of
from model.graphs.servable import Servable
from model.networks.network import Network
from model.onnx_session import session_of

OPSET = 20
TOLERANCE = 1e-5
_CHECKED_ROWS = 48


def export_onnx(
    network: Network, config: ArtifactConfig, folder: Path, graph: Servable | None = None
) -> Path:
    """Write ``model.onnx`` for a network in eval mode on the CPU; returns its path.

    ``graph`` replaces the one from ``graph_of``. Raises ``ArtifactError`` if ONNX Runtime and
    torch then differ by more than 1e-5 in a probability or an intent's logit.
    """
    graph = graph_of(network, config) if graph is None else graph
    path = folder / GRAPH
    batch = torch.export.Dim("batch")
    wide = {0: batch, 1: torch.export.Dim("length", max=config.padded_length)}
    sample = _inputs(graph, _sample(network, config, rows=3))
    # Only the math kernel's output has the memory layout that the exporter assumes.
    with (
        warnings.catch_warnings(),
        _quiet("torch.onnx"),
        _quiet("onnxscript"),
        without_triton_line(),
        sdpa_kernel(SDPBackend.MATH),
    ):
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            graph,
            tuple(map(torch.from_numpy, sample.values())),
            input_names=graph.inputs,
            output_names=graph.outputs,
            dynamic_shapes=[wide if codes.ndim == 2 else {0: batch} for codes in sample.values()],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None, "the dynamo exporter returns a program"
    for node in program.model.graph:
        node.metadata_props.clear()  # paths and source code of the exporting machine
    _name_tables(program, graph)
    made_for = {"items": network.config.items, "categories": network.config.categories}
    program.model.metadata_props.update({key: str(count) for key, count in made_for.items()})
    program.save(path, external_data=False)
    _check(graph, path, _sample(network, config, rows=_CHECKED_ROWS))
    _check(graph, path, _sample(network, config, rows=_CHECKED_ROWS, width=PADDING_MULTIPLE))
    return path


def _name_tables(program: torch.onnx.ONNXProgram, graph: Servable) -> None:
    """Give the tables their names back, which the exporter replaces where it folds constants."""
    for name in graph.tables:
        own = graph.get_buffer(name).numpy()
        for value in program.model.graph.initializers.values():
            table = value.const_value
            if table is not None and np.array_equal(table.numpy(), own):
                value.name = name
                break
        else:
            raise ArtifactError(
                f"torch {torch.__version__} exports this network without its {name}, which the "
                "native core needs; try a newer one"
            )


def _sample(
    network: Network, config: ArtifactConfig, rows: int, width: int | None = None
) -> Padded:
    return random_windows(config, network.config.items, rows, width)


def _inputs(graph: Servable, sample: Padded) -> dict[str, Codes]:
    """The graph's inputs from a sample, in its order."""
    return {name: getattr(sample, name) for name in graph.inputs}


def _check(graph: Servable, path: Path, sample: Padded) -> None:
    inputs = _inputs(graph, sample)
    try:
        answers = session_of(path).run(graph.outputs, inputs)
    except Exception as error:  # ONNX Runtime's exceptions have no common base
        raise ArtifactError(
            f"{path}: ONNX Runtime fails on windows {sample.items.shape[1]} wide ({error}); "
            f"torch {torch.__version__} exports this network incorrectly, try a newer one"
        ) from error
    onnx = dict(zip(graph.outputs, answers, strict=True))
    with torch.inference_mode():
        outputs = graph(*map(torch.from_numpy, inputs.values()))
    eager = {name: out.numpy() for name, out in zip(graph.outputs, outputs, strict=True)}
    # Items with nearly equal probabilities may come in either order, so compare the probabilities
    # that torch gives to ONNX Runtime's top items, rank by rank.
    named = np.take_along_axis(eager["probabilities"], onnx["top_items"], axis=1)
    pairs = {name: (eager[name], onnx[name]) for name in graph.outputs}
    pairs["top_items"] = (named, onnx["top_probs"])
    for name, (expected, found) in pairs.items():
        off = _largest_difference(expected, found)
        if not off <= TOLERANCE:
            raise ArtifactError(
                f"{path}: {name} is off by {off:.1e} from torch, expected at most "
                f"{TOLERANCE:.0e}; report it with your versions of torch and onnxruntime"
            )


def _largest_difference(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> float:
    """The largest difference, relative where a value is above 1.

    Not finite where only one of the two is infinite: both are where there is nothing to copy.
    """
    differ = expected != found
    expected, found = expected[differ], found[differ]
    return float((np.abs(expected - found) / np.maximum(1, np.abs(found))).max(initial=0.0))


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Silence the exporter's warnings, which are of no use to users of Lately."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def without_triton_line() -> Iterator[None]:
    """Silence one line: that triton, which only a GPU has a use for, is not installed."""
    logger = logging.getLogger("torch.utils.flop_counter")

    def is_other(record: logging.LogRecord) -> bool:
        return not record.getMessage().startswith("triton not found")

    logger.addFilter(is_other)
    try:
        yield
    finally:
        logger.removeFilter(is_other)
