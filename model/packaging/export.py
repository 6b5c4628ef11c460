"""The export: from a trained network to the graph that ONNX Runtime serves."""

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
from model.features import FIRST_ITEM, WEEK_HOURS, Codes, Padded
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
    """Write ``model.onnx`` of a network in eval mode on the CPU; returns its path.

    ``graph`` may stand in for what ``graph_of`` gives. Raises
    ``ArtifactError`` if ONNX Runtime and torch then differ by more than 1e-5 in a probability or an
    intent's logit.
    """
    graph = graph_of(network, config) if graph is None else graph
    path = folder / GRAPH
    batch = torch.export.Dim("batch")
    wide = {0: batch, 1: torch.export.Dim("length", max=config.padded_length)}
    sample = _inputs(graph, _sample(network, config, rows=3))
    # Only plain attention leaves its output in the order that the exporter takes it to be in.
    with (
        warnings.catch_warnings(),
        _quiet("torch.onnx"),
        _quiet("onnxscript"),
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
    assert program is not None, "the dynamo exporter gives a program"
    for node in program.model.graph:
        node.metadata_props.clear()  # the paths and the code of whoever exported
    made_for = {"items": network.config.items, "categories": network.config.categories}
    program.model.metadata_props.update({key: str(count) for key, count in made_for.items()})
    program.save(path, external_data=False)
    _check(graph, path, _sample(network, config, rows=_CHECKED_ROWS))
    _check(graph, path, _sample(network, config, rows=_CHECKED_ROWS, width=PADDING_MULTIPLE))
    return path


def _sample(
    network: Network, config: ArtifactConfig, rows: int, width: int | None = None
) -> Padded:
    """Random codes of every kind, padded to ``width``, the widest by default, of all lengths."""
    draw = np.random.default_rng(rows)
    shape = (rows, width or config.padded_length)
    longest = min(config.max_length, shape[1])
    lengths = np.linspace(1, longest, rows).astype(np.int32)
    real = np.arange(shape[1]) < lengths[:, None]

    def codes(low: int, high: int) -> Codes:
        return np.where(real, draw.integers(low, high, shape), 0).astype(np.int32)

    # From a tenth of the catalogue, so that items come back, and with some unknown ones.
    most = FIRST_ITEM + network.config.items // 10
    items = codes(FIRST_ITEM - 1, most + 1)
    hours = draw.integers(0, WEEK_HOURS, rows).astype(np.int32)
    return Padded(items, codes(1, config.action_codes), codes(1, config.gap_codes), lengths, hours)


def _inputs(graph: Servable, sample: Padded) -> dict[str, Codes]:
    """What the graph takes of it, in its order."""
    return {name: getattr(sample, name) for name in graph.inputs}


def _check(graph: Servable, path: Path, sample: Padded) -> None:
    inputs = _inputs(graph, sample)
    try:
        answers = session_of(path).run(graph.outputs, inputs)
    except Exception as error:  # the runtime's errors have no narrower type
        raise ArtifactError(
            f"{path}: ONNX Runtime does not take windows {sample.items.shape[1]} wide ({error}); "
            f"torch {torch.__version__} exports this network wrongly, try a newer one"
        ) from error
    ours = dict(zip(graph.outputs, answers, strict=True))
    with torch.inference_mode():
        outputs = graph(*map(torch.from_numpy, inputs.values()))
    theirs = {name: out.numpy() for name, out in zip(graph.outputs, outputs, strict=True)}
    # Items whose probabilities nearly agree may stand in either order, so the test is what
    # torch says of the items that ONNX Runtime named, and of the places they stand in.
    named = np.take_along_axis(theirs["probabilities"], ours["top_items"], axis=1)
    pairs = {name: (theirs[name], ours[name]) for name in graph.outputs}
    pairs["top_items"] = (named, ours["top_probs"])
    for name, (expected, found) in pairs.items():
        off = _largest_difference(expected, found)
        if not off <= TOLERANCE:
            raise ArtifactError(
                f"{path}: {name} is off by {off:.1e} from torch, expected at most "
                f"{TOLERANCE:.0e}; report it with your versions of torch and onnxruntime"
            )


def _largest_difference(expected: npt.NDArray[np.float32], found: npt.NDArray[np.float32]) -> float:
    return float(np.abs(expected - found).max(initial=0.0))


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without the exporter's notes, which tell the user of Lately nothing."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
