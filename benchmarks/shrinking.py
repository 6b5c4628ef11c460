"""An artifact against its shrunk form: ``python -m benchmarks.shrinking [DIR]``.

Size and speed in one process on one thread; rounds alternate, and CPU time is reported. Without
DIR it uses an untrained network on a synthetic catalogue, as the cost of a score does not depend
on the weights. ``lately artifact shrink --events`` reports the quality.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import torch

from benchmarks.scorer import CATEGORIES, write_artifact
from model.artifact.artifact import Artifact
from model.features import FIRST_ITEM
from model.networks.transformer import TransformerConfig, TransformerModel
from model.packaging.shrink import shrink, size_bytes
from model.serving.onnx import OnnxScorer

BATCHES = (1, 8, 64)


def main(arguments: list[str] | None = None) -> int:
    """Shrink the artifact, measure both and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shrinking", description=__doc__)
    parser.add_argument("artifact", type=Path, nargs="?", metavar="DIR")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--companions", type=int, default=200)
    parser.add_argument("--users", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        if options.artifact:
            whole = Artifact.open(options.artifact)
        else:
            network = make_network(options.items, options.width, options.companions)
            whole = write_artifact(Path(folder) / "whole", network)
        small = shrink(whole, Path(folder) / "small")
        report(whole, small, options.users, options.rounds)
    return 0


def make_network(items: int, width: int, companions: int) -> TransformerModel:
    """An untrained network with random rules for every item."""
    torch.manual_seed(1)
    network: TransformerModel = TransformerModel(
        TransformerConfig(items=items, categories=CATEGORIES, width=width, companions=companions)
    ).train(mode=False)
    shape = network.companions[FIRST_ITEM:].shape
    network.companions[FIRST_ITEM:] = torch.randint(items, shape, dtype=torch.int32) + FIRST_ITEM
    drawn = torch.rand(network.shares.shape).pow(8)  # a few are likely, most are not
    network.shares.copy_(drawn / drawn.sum(-1, keepdim=True))
    network.support.fill_(8)
    return network


def report(whole: Artifact, small: Artifact, users: int, rounds: int) -> None:
    """Print one line per figure: before, after and the ratio."""
    print(f"{whole.manifest.items:,} items, {users} users, one thread")
    _line("bytes on disk", size_bytes(whole), size_bytes(small))
    _line(
        "bytes of model.onnx", *(a.manifest.files["model.onnx"].size_bytes for a in (whole, small))
    )
    scorers = [OnnxScorer(artifact) for artifact in (whole, small)]
    sample = scorers[0].sample(users)
    for size in BATCHES:
        spans: list[list[float]] = [[], []]
        for turn in range(rounds + 1):
            for scorer, taken in zip(scorers, spans, strict=True):
                started = time.process_time()
                for start in range(0, users, size):
                    scorer.score(sample[start : start + size])
                if turn:  # the first warms up
                    taken.append((time.process_time() - started) / users * 1e6)
        _line(f"µs of CPU per user, batches of {size}", *map(median, spans))


def _line(name: str, before: float, after: float) -> None:
    print(f"  {name:<32} {before:>14,.0f} {after:>14,.0f}   ×{after / before:.2f}")


if __name__ == "__main__":
    sys.exit(main())
