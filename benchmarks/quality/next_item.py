"""The next-item benchmark: trains once per seed and evaluates the scorer as it would be served."""

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.quality.asking import Figures, ask_baselines, ask_scorer, figures
from benchmarks.quality.folder import CONFIG, Task
from model.artifact.artifact import METRICS, ArtifactWriter
from model.evaluation.curves import learning_epochs
from model.progress import progress
from model.serving.onnx import OnnxScorer
from model.serving.options import ScoringOptions
from model.training.make import make
from model.training.plan import Plan, Progress, Recipe

PARTS = 1_000


class Found(NamedTuple):
    """The result of one seed."""

    figures: Figures
    train_s: float
    learning: list[dict[str, float]]  # figures on held-out items, round by round


def run(
    task: Task, path: Path, network: str, minutes: float | None, seeds: Sequence[int]
) -> dict[str, Any]:
    """The report of a folder: the median of the seeds, and the figures of each."""
    found = []
    for seed in seeds:
        found.append(_train_and_ask(task, network, minutes, seed))
        print(f"seed {seed}: {found[-1].figures}, trained in {found[-1].train_s:.0f} s", flush=True)
    runs = [one.figures for one in found]
    return {
        "path": str(path),
        "protocol": task.protocol,
        "network": network,
        "questions": len(task.questions),
        "model": {name: median(figures_of[name] for figures_of in runs) for name in runs[0]},
        "baselines": ask_baselines(task),
        "train_s": median(one.train_s for one in found),
        "seeds": list(seeds),
        "runs": runs,
        "learning": [one.learning for one in found],
    }


def _train_and_ask(task: Task, network: str, minutes: float | None, seed: int) -> Found:
    plan = Plan(replace(CONFIG, network=network), Recipe(minutes=minutes, seed=seed))
    with TemporaryDirectory() as scratch:
        with (
            ArtifactWriter(Path(scratch) / "artifact") as writer,
            progress("training", PARTS) as update,
        ):

            def report(at: Progress) -> None:
                update(int(at.done * PARTS))
                if at.validation:
                    print(f"  epoch {at.epoch:.1f}: {at.validation}", flush=True)

            started_s = time.monotonic()
            described = {"protocol": task.protocol}
            artifact = make(
                task.data, plan, writer, described=described, by="benchmarks.quality", report=report
            )
            seconds = time.monotonic() - started_s
        scorer = OnnxScorer(artifact, ScoringOptions(exclude_seen=task.exclude_seen))
        with progress("asking", len(task.questions)) as update:
            ranks = ask_scorer(scorer, task, plan.config.max_length, update)
        learning = learning_epochs(artifact.read_object(METRICS))
    return Found(figures(task, ranks), seconds, learning)
