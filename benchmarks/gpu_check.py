"""The torch engine on a GPU, or without one on a CPU: ``python -m benchmarks.gpu_check``.

Equality with ONNX Runtime's scores, equal bytes for every batch size, what bfloat16 changes, users
per second, and the share of what the device could do at most. Under five minutes. Exits 1 if
scores are not equal, or depend on the batch.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import NamedTuple

import torch

from benchmarks.scorer import make_artifact
from model.artifact.artifact import Artifact
from model.artifact.network import load_network
from model.config import BFLOAT16
from model.features import random_windows
from model.graphs.build import best_graph_of
from model.graphs.servable import Servable
from model.outputs import Outputs
from model.packaging.catalogue_end import NO_MULTIPLY, with_end
from model.packaging.export import without_triton_line
from model.scorer import Score
from model.sequence import Sequence
from model.serving import Measurable, choose_cap, measure_service_curve
from model.serving.onnx import OnnxScorer
from model.serving.runner import Runner
from model.serving.torch import TorchScorer

TOLERANCE = 1e-5
BATCHES = (1, 7, 64, 300)
SIZES = (1, 16, 64, 256, 1024, 4096)
SQUARE = 2048  # of the multiply that measures a device without published figures
ROUNDS = 7


class Peak(NamedTuple):
    """What a device can do at most: operations and bytes per second."""

    source: str
    float32: float
    bfloat16: float
    bytes: float


_NVIDIA = "NVIDIA's data sheet, dense, www.nvidia.com/en-us/data-center/{}"
PUBLISHED = {  # by what the device calls itself
    "H200": Peak(_NVIDIA.format("h200"), 67e12, 989e12, 4.8e12),
    "H100": Peak(_NVIDIA.format("h100") + " (SXM)", 67e12, 989e12, 3.35e12),
}


def main(arguments: list[str] | None = None) -> int:
    """Run the checks and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--artifact", type=Path, help="check this one, instead of a random one")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    if options.device == "cpu":
        torch.set_num_threads(1)  # as in a worker
    with tempfile.TemporaryDirectory() as folder:
        artifact = (
            Artifact.open(options.artifact)
            if options.artifact
            else make_artifact(Path(folder) / "artifact", options.items, options.width)
        )
        fine = check(artifact, Path(folder) / "bf16", options.device, options.users)
    print("all well" if fine else "FAILED")
    return 0 if fine else 1


def check(artifact: Artifact, half: Path, device: str, n_users: int) -> bool:
    """Print what is found of this artifact on this device; False if scores are not equal.

    ``half`` is a folder to write the copy in bfloat16 to.
    """
    onnx, scorer = OnnxScorer(artifact), TorchScorer(artifact, device)
    users = scorer.sample(n_users)
    engines: dict[str, TorchScorer] = {"float32": scorer}
    if artifact.config.network not in NO_MULTIPLY:
        engines[BFLOAT16] = TorchScorer(with_end(artifact, BFLOAT16, half), device)
    peak = _peak(device)
    print(_headline(artifact, scorer, device))
    fine = _parity(onnx, scorer, users)
    for name, engine in engines.items():
        fine &= _determinism(name, engine, users)
    if BFLOAT16 in engines:
        _compare(scorer, engines[BFLOAT16], users)
    _speed("ONNX Runtime, one core", onnx, SIZES[:4])
    for name, engine in engines.items():
        _speed(f"torch, {name}", engine, SIZES)
        _share(artifact, name, torch.device(device), peak)
    print(f"  peaks: {peak.source}")
    return fine


def _headline(artifact: Artifact, scorer: TorchScorer, device: str) -> str:
    rows, widths = scorer.shapes
    name = (
        torch.cuda.get_device_name(device)
        if device.startswith("cuda")
        else "no GPU: the same code on one core of the CPU, whose figures say nothing of a GPU"
    )
    return (
        f"{name}; torch {torch.__version__}\n"
        f"{artifact.config.network}, {artifact.manifest.items} items; rows with equal bits "
        f"{', '.join(map(str, rows))}, widths {', '.join(map(str, widths))}"
    )


def _parity(onnx: OnnxScorer, scorer: TorchScorer, users: list[Sequence]) -> bool:
    ours, theirs = scorer.score(users), onnx.score(users)
    off = max(map(_difference, ours, theirs))
    moved = sum(_names(a) != _names(b) for a, b in zip(ours, theirs, strict=True))
    print(
        f"  equality with ONNX Runtime: off by {off:.1e} at most (allowed {TOLERANCE:.0e}), "
        f"items in another order for {moved} of {len(users)}"
    )
    return off <= TOLERANCE


def _determinism(name: str, scorer: TorchScorer, users: list[Sequence]) -> bool:
    whole = scorer.score(users)
    others = []
    for size in BATCHES:
        parts = [scorer.score(users[at : at + size]) for at in range(0, len(users), size)]
        scores = [score for part in parts for score in part]
        others.append(sum(one != two for one, two in zip(whole, scores, strict=True)))
    sizes = ", ".join(map(str, BATCHES))
    print(f"  {name}: batches of {sizes}: {others} of {len(users)} scores differ from one batch")
    return not any(others)


def _compare(exact: TorchScorer, rough: TorchScorer, users: list[Sequence]) -> None:
    ours, theirs = exact.score(users), rough.score(users)
    moved = sum(_names(a) != _names(b) for a, b in zip(ours, theirs, strict=True))
    off = [
        abs(p - q) / p
        for one, other in zip(ours, theirs, strict=True)
        for (_, p), (_, q) in zip(one.items, other.items, strict=True)
    ]
    print(
        f"  bfloat16 beside float32: items differ for {moved} of {len(users)}, probabilities by "
        f"{max(off):.1e} of themselves at most, {median(off):.1e} in the median"
    )


def _speed(name: str, scorer: Measurable, sizes: tuple[int, ...]) -> None:
    curve = measure_service_curve(scorer, sizes)
    times = "  ".join(f"{users}: {seconds * 1e3:.2f}" for users, seconds in curve)
    best = max(users / seconds for users, seconds in curve)
    print(f"  {name:<22} ms by batch  {times}  | cap {choose_cap(curve)}, {best:,.0f} users/s")


def _share(artifact: Artifact, name: str, device: torch.device, peak: Peak) -> None:
    """The runner alone, without what Python makes of its outputs, against the peaks."""
    config = replace(artifact.config, catalogue_end=BFLOAT16 if name == BFLOAT16 else "graph")
    graph = best_graph_of(load_network(artifact), config).to(device)
    items = artifact.manifest.items
    runner = Runner(graph, Outputs._fields, config, items, device)
    rows, width = runner.shapes.rows[-1], runner.shapes.widths[0]
    windows = random_windows(config, items, rows, width)
    seconds = _seconds(lambda: runner.run(windows), device)
    inputs = [torch.from_numpy(getattr(windows, field)).to(device) for field in graph.inputs]
    flops = _operations(graph, inputs)
    table = sum(
        buffer.numel() * buffer.element_size()
        for buffer_name, buffer in graph.named_buffers()
        if buffer_name == ("rough" if name == BFLOAT16 else "vectors")
    )
    moved = table + 2 * 4 * rows * items if table else 0  # the scores are written once, and read
    most = getattr(peak, name)
    print(
        f"    {rows} users of up to {width} actions on the device: {seconds * 1e3:.2f} ms, "
        f"{rows / seconds:,.0f} users/s; {flops / seconds / 1e12:.3f} of {most / 1e12:.2f} TFLOP/s "
        f"({flops / seconds / most:.1%}), at least {moved / seconds / 1e9:,.1f} of "
        f"{peak.bytes / 1e9:,.0f} GB/s ({moved / seconds / peak.bytes:.1%})"
    )


def _operations(graph: Servable, inputs: list[torch.Tensor]) -> int:
    """The floating-point operations of the multiplies for these inputs."""
    with without_triton_line():
        from torch.utils.flop_counter import FlopCounterMode
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        graph(*inputs)
    return int(counter.get_total_flops())


def _peak(device: str) -> Peak:
    """The published figures of the device; without any, what a multiply and a copy reach here."""
    if device.startswith("cuda"):
        called = torch.cuda.get_device_name(device)
        for name, peak in PUBLISHED.items():
            if name in called:
                return peak
    one, other = torch.ones(2, SQUARE, SQUARE, device=device).unbind()
    halves = one.bfloat16(), other.bfloat16()
    flops, where = 2.0 * SQUARE**3, one.device
    return Peak(
        f"none published here: a multiply of {SQUARE} × {SQUARE}, and a copy, measured",
        flops / _seconds(lambda: _wait(one @ other), where),
        flops / _seconds(lambda: _wait(halves[0] @ halves[1]), where),
        2.0 * one.nbytes / _seconds(lambda: _wait(other.copy_(one)), where),
    )


def _wait(done: torch.Tensor) -> None:
    if done.is_cuda:
        torch.cuda.synchronize(done.device)


def _seconds(job: Callable[[], object], device: torch.device) -> float:
    """The median time of a job, after a first run; on a CPU, what waits for a core is left out."""
    clock = time.thread_time if device.type == "cpu" else time.perf_counter
    job()
    spans = []
    for _ in range(ROUNDS):
        started = clock()
        job()
        spans.append(clock() - started)
    return median(spans)


def _names(score: Score) -> list[str]:
    return [name for name, _ in score.items]


def _difference(one: Score, other: Score) -> float:
    """The largest difference over ranks and intents; names are ignored, as near-ties may swap."""
    pairs = [
        *zip(one.items, other.items, strict=True),
        *zip(one.categories, other.categories, strict=True),
        *zip(one.intent.items(), other.intent.items(), strict=True),
    ]
    return max(abs(ours - theirs) for (_, ours), (_, theirs) in pairs)


if __name__ == "__main__":
    sys.exit(main())
