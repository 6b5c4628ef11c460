"""The scorer against a naive torch loop on the same users: ``python -m benchmarks.scorer``.

The naive loop is the obvious implementation: pad to the maximum length, run every position
through the network, softmax over the whole catalogue, take the top 20. Both start from
``Sequence`` and end at lists of names and probabilities, on one thread; rounds alternate, and
CPU time is reported, so that other processes matter little.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks import results
from benchmarks.results import Row
from benchmarks.summary import by, figure
from model import native
from model.artifact.artifact import CALIBRATION, CATALOGUE, Artifact, ArtifactWriter
from model.artifact.calibration import Calibration
from model.artifact.network import load_network
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.features import encode
from model.networks.transformer import TransformerConfig, TransformerModel
from model.packaging.catalogue_end import with_end
from model.packaging.export import export_onnx
from model.sequence import Sequence
from model.serving.native import NativeScorer
from model.serving.onnx import OnnxScorer
from model.serving.torch import TorchScorer

CATEGORIES = 200
NAIVE_BATCHES = (32, 128)
NAIVE_UP_TO = 100_000  # items; beyond it a round of it takes minutes


class NaiveLoop:
    """The network as trained, run over every position of every user."""

    def __init__(self, artifact: Artifact) -> None:
        network = load_network(artifact)
        assert isinstance(network, TransformerModel)
        self.network = network
        self.catalogue = artifact.read_catalogue()
        self.config = artifact.config

    def run(self, users: list[Sequence], size: int) -> None:
        """Score all users, ``size`` at a time."""
        for start in range(0, len(users), size):
            self.score(users[start : start + size])

    @torch.inference_mode()
    def score(self, users: list[Sequence]) -> list[list[tuple[str, float]]]:
        """The top items of each user."""
        padded = encode(users, self.catalogue, self.config)
        wide = [(0, 0), (0, self.config.padded_length - padded.items.shape[1])]
        items, actions, gaps = (torch.from_numpy(np.pad(codes, wide)) for codes in padded[:3])
        newest = torch.arange(len(users)), torch.from_numpy(padded.lengths).long() - 1
        table = self.network.item_vectors()
        states, copies, rules = self.network.look(items, actions, gaps, table[items.long()])
        rows, last = newest
        chances = self.network.chances(
            states[newest], copies[newest], rules[rows, :, last], items, table
        )
        shares, codes = torch.topk(chances, self.config.top_items)
        names = self.catalogue.items
        return [
            [(names[code], share) for code, share in zip(*row, strict=True)]
            for row in zip(codes.tolist(), shares.tolist(), strict=True)
        ]


def main(arguments: list[str] | None = None) -> int:
    """Measure and print the rates, size by size, and save the rows."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scorer", description=__doc__)
    parser.add_argument("--items", type=int, nargs="+", default=[50_000], help="[%(default)s]")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--users", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=5)
    results.add_option(parser)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    rows: list[Row] = []
    for items in options.items:
        with tempfile.TemporaryDirectory() as folder:
            artifact = make_artifact(Path(folder) / "artifact", items, options.width)
            found = measure(artifact, options.width, options.users, options.rounds)
        print("\n".join(table(found)), flush=True)
        rows += found
    print(results.Result.now("scorer", rows).save(options.results), file=sys.stderr)
    return 0


def table(rows: list[Row]) -> Iterator[str]:
    """The rates of one size, and ours against the best naive loop."""
    yield f"{rows[0]['items']:,} items, width {rows[0]['width']}; users per second on one core"
    rates = {n: 1e6 / figure(own, "cpu_us").median for n, own in by(rows, "scorer").items()}
    for name, rate in rates.items():
        yield f"  {name:<32} {rate:>10,.0f}"
    naive = [rate for name, rate in rates.items() if name.startswith("naive")]
    if naive:
        best = max(rate for name, rate in rates.items() if not name.startswith("naive"))
        yield f"  the best scorer against the best naive loop: {best / max(naive):.2f}×"


def make_artifact(folder: Path, items: int, width: int) -> Artifact:
    """An untrained network on a synthetic catalogue: its cost does not depend on the weights."""
    torch.manual_seed(1)
    network = TransformerModel(
        TransformerConfig(items=items, categories=CATEGORIES, width=width)
    ).train(mode=False)
    return write_artifact(folder, network)


def write_artifact(folder: Path, network: TransformerModel) -> Artifact:
    """Write an artifact of a network, with a synthetic catalogue."""
    items = network.config.items
    names = [f"item-{index}" for index in range(items)]
    catalogue = Catalogue(
        names,
        [f"category-{index}" for index in range(CATEGORIES)],
        np.arange(items) % CATEGORIES,
        np.arange(items, 0, -1),
    )
    config = ArtifactConfig(name="benchmark")
    with ArtifactWriter(folder) as writer:
        network.save_pretrained(writer.draft)
        export_onnx(network, config, writer.draft)
        writer.write_object(CATALOGUE, catalogue.to_json())
        calibration = Calibration(config.intents, (1.0, 1.0), (0.0, 0.0), (0.1, 0.05))
        writer.write_object(CALIBRATION, calibration.to_json())
        return writer.seal(config, created_at="", data={}, made={"by": "benchmarks.scorer"})


def measure(artifact: Artifact, width: int, users: int, rounds: int) -> list[Row]:
    """CPU of each implementation in each round, in microseconds a user."""
    onnx = OnnxScorer(artifact)
    sample = onnx.sample(users)
    jobs: dict[str, Callable[[], Any]] = {"scorer, ONNX Runtime": partial(onnx.score, sample)}
    if native.AVAILABLE:
        with tempfile.TemporaryDirectory() as folder:
            core = NativeScorer(with_end(artifact, "native", Path(folder) / "native"))
        jobs["scorer, native core"] = partial(core.score, sample)
    items = len(onnx.catalogue.items)
    if items <= NAIVE_UP_TO:
        jobs["scorer, torch"] = partial(TorchScorer(artifact).score, sample)
        naive = NaiveLoop(artifact)
        for size in NAIVE_BATCHES:
            name = f"naive torch loop, batches of {size}"
            jobs[name] = partial(naive.run, sample, size)
    common = {
        "items": items,
        "width": width,
        "users": users,
        "mean_length": sum(len(sequence.items) for sequence in sample) / users,
    }
    rows = []
    for turn in range(rounds + 1):
        for name, job in jobs.items():
            started = time.process_time()
            job()
            cpu_us = (time.process_time() - started) / users * 1e6
            if turn:  # the first warms up
                rows.append({"round": turn, "scorer": name, **common, "cpu_us": cpu_us})
    return rows


if __name__ == "__main__":
    sys.exit(main())
