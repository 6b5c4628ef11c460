"""Makes an artifact from data already read: trains, calibrates, measures and exports."""

import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.utils import logging

from model.artifact import day_parts
from model.artifact.artifact import (
    CALIBRATION,
    CATALOGUE,
    CONTEXTS,
    COPYING,
    METRICS,
    Artifact,
    ArtifactWriter,
)
from model.artifact.calibration import Calibration
from model.artifact.calibration_fit import fit
from model.config import ArtifactConfig
from model.data.dataset import NO_NEXT, TRAINED_UNTIL
from model.evaluation import metrics
from model.features import CENSORED
from model.networks.network import Network
from model.packaging.export import export_onnx
from model.training.copying import fit_curve
from model.training.noisy_counts import LogCounts
from model.training.plan import Plan, Progress
from model.training.registry import Fitted, fit_of
from model.training.results import Predictions
from model.training.time_limit import TimeLimit
from model.training.training_data import TrainingData


def make(
    data: TrainingData,
    plan: Plan,
    writer: ArtifactWriter,
    *,
    described: dict[str, Any],
    by: str,
    threads: int | None = None,
    limit: TimeLimit | None = None,
    report: Callable[[Progress], None] = lambda _: None,
) -> Artifact:
    """Train on data already read and write the artifact; ``described`` goes to the manifest."""
    started_s = time.monotonic()
    if threads is not None:
        torch.set_num_threads(threads)
    learning: list[dict[str, float]] = []

    def note(progress: Progress) -> None:
        if progress.validation:
            learning.append(_point(progress))
        report(progress)

    limit = limit or TimeLimit.of(plan.recipe.minutes)
    limited = limit.left_to_fit(plan, len(data.catalogue))
    fitted = fit_of(plan.config.network, private=plan.privacy is not None)(data, limited, note)
    report(Progress.at("calibrating", 1.0))
    found = fitted.predictions
    catalogue, counted = data.catalogue, fitted.counted
    if counted is None:
        counted = _count(data)
    else:
        catalogue = catalogue.counting(counted.counts)
    calibration = fit(plan.config.intents, found.intent_logits, found.intents, counted.rates)
    _save(fitted.network, writer.draft)
    writer.write_object(CATALOGUE, catalogue.to_json())
    writer.write_object(CALIBRATION, calibration.to_json())
    writer.write_object(CONTEXTS, counted.day_parts.to_json())
    if plan.privacy is None:
        curve = fit_curve(data, plan.config, plan.recipe.seed)
        writer.write_object(COPYING, curve.to_json())
    for name, content in fitted.files.items():
        writer.write_object(name, content)
    held_out = {} if plan.privacy else _figures(plan.config, found, calibration, data)
    writer.write_object(METRICS, {"held_out": held_out, "learning": learning})
    report(Progress.at("exporting", 1.0))
    export_onnx(fitted.network, plan.config, writer.draft)
    return writer.seal(
        plan.config,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        data=described | {TRAINED_UNTIL: _trained_until_ms(data, fitted)},
        made=_made(by, plan, time.monotonic() - started_s) | dict(fitted.made),
    )


def _point(progress: Progress) -> dict[str, float]:
    assert progress.validation is not None, "only the end of a round is noted"
    recall, mrr = progress.validation
    return {"epoch": progress.epoch, "loss": progress.loss, "recall@20": recall, "mrr@20": mrr}


def _save(model: Network, folder: Path) -> None:
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)


def _count(data: TrainingData) -> LogCounts:
    """Count the actions on each item by part of the day, and the rate of each intent."""
    counted = day_parts.count(
        data.whole.items, data.whole.times_ms, len(data.catalogue), data.held_out.end_ms
    )
    labels = data.learnt_labels.intents
    known = (labels != CENSORED).sum(axis=0)  # 0 where all labels are censored
    return LogCounts(counted, (labels == 1).sum(axis=0) / np.maximum(known, 1))


def _figures(
    config: ArtifactConfig, found: Predictions, calibration: Calibration, data: TrainingData
) -> dict[str, Any]:
    chances = calibration.apply(found.intent_logits)
    return {
        "from_ms": data.held_out.start_ms,
        "until_ms": data.held_out.end_ms,
        "items": {
            config.name: metrics.item_figures(found.ranks),
            "popularity": metrics.item_figures(_popularity_ranks(data)),
        },
        "intents": {
            name: metrics.intent_figures(found.intents[:, column], chances[:, column])
            | {"threshold": metrics.best_threshold(found.intents[:, column], chances[:, column])}
            for column, name in enumerate(config.intents)
        },
    }


def _popularity_ranks(data: TrainingData) -> npt.NDArray[np.int64]:
    """The ranks of the held-out next items by count before the held-out period."""
    counts = data.counts
    ranks = np.zeros(len(counts) + 1, dtype=np.int64)  # the last one is for UNKNOWN
    ranks[np.argsort(-counts, kind="stable")] = np.arange(1, len(counts) + 1)
    targets = data.held_out_labels.next_items
    held_out: npt.NDArray[np.int64] = ranks[targets[targets != NO_NEXT]]
    return held_out


def _trained_until_ms(data: TrainingData, fitted: Fitted) -> int:
    """The end of the events that the weights were trained on, warm start included."""
    own = data.held_out.end_ms if fitted.refitted else data.held_out.start_ms
    older = fitted.made.get("from", {}).get(TRAINED_UNTIL) or own
    return max(own, int(older))


def _made(by: str, plan: Plan, seconds: float) -> dict[str, Any]:
    fields = asdict(plan)
    del fields["config"]  # the manifest has it already
    for path in ("checkpoints", "encoder", "start"):
        del fields[path]  # a path means nothing elsewhere; the network records its source itself
    return {"by": by, "seconds": round(seconds, 1), "torch": torch.__version__} | fields
