"""The torch engine on a GPU, checked against both CPU engines: ``python -m benchmarks.gpu_check``.

Three checks, one short table each: parity with the CPU's scores, equal bytes for every batch
size, and speed. Exits 1 if one of the first two fails.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import torch

from benchmarks.scorer import make_artifact
from model.artifact.artifact import Artifact
from model.scorer import Score
from model.sequence import Sequence
from model.serving import Measurable, choose_cap, measure_service_curve
from model.serving.onnx import OnnxScorer
from model.serving.torch import TorchScorer

TOLERANCE = 1e-5
BATCHES = (1, 7, 64, 300)
SIZES = (1, 16, 64, 256, 1024, 4096)


def main(arguments: list[str] | None = None) -> int:
    """Run the checks and print their tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--artifact", type=Path, help="check this one, instead of a random one")
    parser.add_argument("--items", type=int, default=50_000)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--users", type=int, default=600)
    parser.add_argument("--device", default="cuda")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        artifact = (
            Artifact.open(options.artifact)
            if options.artifact
            else make_artifact(Path(folder) / "artifact", options.items, options.width)
        )
        engines: dict[str, Measurable] = {
            options.device: TorchScorer(artifact, options.device),
            "cpu, torch": TorchScorer(artifact),
            "cpu, ONNX Runtime": OnnxScorer(artifact),
        }
    name = torch.cuda.get_device_name() if options.device.startswith("cuda") else "the CPU"
    items = len(artifact.read_catalogue())
    print(f"{name}, torch {torch.__version__}; {artifact.config.network}, {items} items")
    users = engines[options.device].sample(options.users)
    fine = all([_parity(engines, users), _determinism(engines[options.device], users)])
    for engine, scorer in engines.items():
        _speed(engine, scorer, SIZES if engine == options.device else SIZES[:4])
    print("all well" if fine else "FAILED")
    return 0 if fine else 1


def _parity(engines: dict[str, Measurable], users: list[Sequence]) -> bool:
    checked, *others = engines
    ours = engines[checked].score(users)
    fine = True
    for name in others:
        theirs = engines[name].score(users)
        off = max(map(_difference, ours, theirs))
        moved = sum(_names(a) != _names(b) for a, b in zip(ours, theirs, strict=True))
        fine &= off <= TOLERANCE
        print(
            f"  parity with {name:<18} off by {off:.1e} at most (allowed {TOLERANCE:.0e}), "
            f"items in another order for {moved} of {len(users)}"
        )
    return fine


def _determinism(scorer: Measurable, users: list[Sequence]) -> bool:
    whole = scorer.score(users)
    fine = True
    for size in BATCHES:
        parts = [scorer.score(users[at : at + size]) for at in range(0, len(users), size)]
        scores = [score for part in parts for score in part]
        other = sum(one != two for one, two in zip(whole, scores, strict=True))
        fine &= other == 0
        print(f"  batches of {size:<5} {other} of {len(users)} scores differ from one batch")
    return fine


def _speed(name: str, scorer: Measurable, sizes: tuple[int, ...]) -> None:
    curve = measure_service_curve(scorer, sizes)
    times = "  ".join(f"{users}: {seconds * 1e3:.2f}" for users, seconds in curve)
    best = max(users / seconds for users, seconds in curve)
    print(f"  {name:<18} ms by batch  {times}  | cap {choose_cap(curve)}, {best:,.0f} users/s")


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
