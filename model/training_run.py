"""The training run: from an event log to an artifact, in one go."""

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from transformers.utils import logging

from model import metrics
from model.artifact import CALIBRATION, CATALOGUE, METRICS, Artifact, ArtifactWriter
from model.baselines.popularity import HALF_LIFE_S
from model.calibration import Calibration, fit
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.data import EventLog, Item
from model.dataset import (
    CENSORED,
    NO_NEXT,
    SELECTED_UNTIL,
    TRAINED_UNTIL,
    Histories,
    Labels,
    Period,
    build_catalogue,
    cut_ms,
    label,
    read_histories,
)
from model.errors import DataError
from model.export import export_onnx
from model.fitting import fit_of
from model.networks.network import Network
from model.training import Predictions, Progress, Recipe

BEGINNING_MS = -1  # before any event


@dataclass(frozen=True, slots=True)
class Plan:
    """What to make of a log; ``held_out`` is the newest share of it, never learnt from."""

    config: ArtifactConfig
    recipe: Recipe
    width: int = 64
    heads: int = 2
    blocks: int = 1
    dropout: float = 0.3
    held_out: float = 0.1
    device: str = "cpu"
    encoder: Path | None = None  # a folder with a BERT for texts; the package's if None
    tune: str = "top"  # what of it the text network trains, see training_text


class Parts(NamedTuple):
    """A log, read: what to learn from and what to check on."""

    catalogue: Catalogue
    held_out: Period
    learnt: Histories  # before the held-out period
    learnt_labels: Labels
    whole: Histories
    held_out_labels: Labels  # of the whole, NO_NEXT and CENSORED before the period
    texts: tuple[str, ...]  # (V,) each item's title, else its category, else ""

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """(V,) how often each item was acted on before the held-out period."""
        return np.bincount(self.learnt.items, minlength=len(self.catalogue))


def run(
    log: EventLog,
    plan: Plan,
    folder: Path,
    *,
    items: Mapping[str, Item] | None = None,
    overwrite: bool = False,
    by: str = "lately train",
    report: Callable[[Progress], None] = lambda _: None,
) -> Artifact:
    """Train and write.

    1. Hold out the newest events.
    2. Train on the others, choosing the epoch that is best on the held-out ones.
    3. Calibrate the intents on the held-out ones.
    4. Export, and write what was found on the held-out ones beside it.

    ``by`` is what the manifest says of how it was made.
    Raises ``DataError`` for a log that nothing can be learnt from, ``ArtifactError`` for a folder
    that cannot be written; both before the first step of training.
    """
    started_s = time.monotonic()
    with ArtifactWriter(folder, overwrite=overwrite) as writer:
        parts = read(log, plan, items or {})
        model, said = fit_of(plan.config.network)(parts, plan, report)
        calibration = fit(
            plan.config.intents, said.intent_logits, said.intents, _rates(parts.learnt_labels)
        )
        _save(model, writer.draft)
        writer.write_object(CATALOGUE, parts.catalogue.to_json())
        writer.write_object(CALIBRATION, calibration.to_json())
        writer.write_object(METRICS, {"held_out": _figures(plan.config, said, calibration, parts)})
        export_onnx(model, plan.config, writer.draft)
        return writer.seal(
            plan.config,
            created_at=datetime.now(UTC).isoformat(timespec="seconds"),
            data=_data(log, parts),
            made=_made(by, plan, time.monotonic() - started_s),
        )


def read(log: EventLog, plan: Plan, items: Mapping[str, Item]) -> Parts:
    """Read the log into columns and label them; raises ``DataError`` if there is too little."""
    held_out = cut_ms(log.frame, plan.held_out)
    catalogue = build_catalogue(log.frame, held_out.end_ms, HALF_LIFE_S, items)
    whole = read_histories(log.frame, catalogue, plan.config)
    learnt = whole.until(held_out.start_ms)
    learnt_labels = label(learnt, Period(BEGINNING_MS, held_out.start_ms), plan.config)
    if not (learnt_labels.next_items >= 0).any():
        raise DataError(
            f"of {log.rows} rows, none before the newest {plan.held_out:.0%} is followed by "
            "another of the same user; give a log in which users come back"
        )
    return Parts(
        catalogue,
        held_out,
        learnt,
        learnt_labels,
        whole,
        label(whole, held_out, plan.config),
        _texts(catalogue, items),
    )


def _texts(catalogue: Catalogue, items: Mapping[str, Item]) -> tuple[str, ...]:
    categories = (*catalogue.categories, "")  # NO_CATEGORY is the last one
    titles = (items[name].title if name in items else None for name in catalogue.items)
    return tuple(
        title or categories[category]
        for title, category in zip(titles, catalogue.item_categories.tolist(), strict=True)
    )


def _save(model: Network, folder: Path) -> None:
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)


def _rates(labels: Labels) -> list[float]:
    """How often each intent came true; 0 where nobody could tell."""
    known = labels.intents != CENSORED
    yes = (labels.intents == 1).sum(axis=0)
    return [float(rate) for rate in yes / np.maximum(known.sum(axis=0), 1)]


def _figures(
    config: ArtifactConfig, said: Predictions, calibration: Calibration, parts: Parts
) -> dict[str, Any]:
    chances = calibration.apply(said.intent_logits)
    return {
        "from_ms": parts.held_out.start_ms,
        "until_ms": parts.held_out.end_ms,
        "items": {
            config.name: metrics.item_figures(said.ranks),
            "popularity": metrics.item_figures(_popularity_ranks(parts)),
        },
        "intents": {
            name: metrics.intent_figures(said.intents[:, column], chances[:, column])
            | {"threshold": metrics.best_threshold(said.intents[:, column], chances[:, column])}
            for column, name in enumerate(config.intents)
        },
    }


def _popularity_ranks(parts: Parts) -> npt.NDArray[np.int64]:
    """Where the held-out next items stand by their count before the held-out period."""
    counts = parts.counts
    ranks = np.zeros(len(counts) + 1, dtype=np.int64)  # the last one is for UNKNOWN
    ranks[np.argsort(-counts, kind="stable")] = np.arange(1, len(counts) + 1)
    targets = parts.held_out_labels.next_items
    held_out: npt.NDArray[np.int64] = ranks[targets[targets != NO_NEXT]]
    return held_out


def _data(log: EventLog, parts: Parts) -> dict[str, Any]:
    return {
        "fingerprint": log.fingerprint,
        "rows": log.rows,
        "duplicates": log.duplicates,
        "forgotten": log.forgotten,
        "events": len(parts.whole.items),
        "users": len(parts.whole.offsets) - 1,
        "from_ms": int(parts.whole.times_ms.min()),
        TRAINED_UNTIL: parts.held_out.start_ms,
        SELECTED_UNTIL: parts.held_out.end_ms,
    }


def _made(by: str, plan: Plan, seconds: float) -> dict[str, Any]:
    fields = asdict(plan)
    del fields["config"]  # stands in the manifest itself
    del fields["encoder"]  # a path says nothing elsewhere: the network's own record names it
    return {"by": by, "seconds": round(seconds, 1), "torch": torch.__version__} | fields
