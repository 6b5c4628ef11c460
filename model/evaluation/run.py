"""The evaluation run: evaluates an artifact and every baseline on the events of a log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from model.artifact.artifact import CALIBRATION, METRICS, Artifact
from model.artifact.calibration import Calibration
from model.baselines import BASELINES, Baseline
from model.baselines.newest_first import NewestFirst
from model.baselines.popularity import Popularity
from model.data.dataset import (
    SELECTED_UNTIL,
    TRAINED_UNTIL,
    Histories,
    Period,
    read_histories,
    with_new_items,
)
from model.errors import DataError
from model.evaluation.exam import Answers, Exam, Tell
from model.evaluation.figures import Evaluation, Threshold, judge
from model.evaluation.questions import Mask
from model.progress import running_total

if TYPE_CHECKING:
    import polars as pl

    from model.scorer import Scorer

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Judged:
    """An evaluation with the questions and answers it is based on."""

    exam: Exam
    answers: dict[str, Answers]  # the model's first
    evaluation: Evaluation


def examine(artifact: Artifact, frame: "pl.LazyFrame", say: Say) -> Exam:
    """The questions on events that the artifact has not seen; ``say`` gets their limitations.

    Items that the artifact lacks are told apart, since a scorer and a baseline may list them.
    Raises ``DataError`` for a log without newer events, ``ArtifactError`` for an artifact that
    does not record what it was trained on.
    """
    known = artifact.read_catalogue()
    catalogue = with_new_items(known, frame)
    histories = read_histories(frame, catalogue, artifact.config)
    period = unseen(artifact, histories, say)
    if not (histories.items < len(known)).any():
        say(
            f"note: none of the {len(histories.items):,} events has an item of the model's "
            "catalogue; is this the log of another shop?"
        )
    return Exam.of(histories, catalogue, artifact.config, period)


def run(artifact: Artifact, scorer: "Scorer", exam: Exam, tell: Tell, say: Say) -> Judged:
    """Ask the model and all baselines; ``tell`` is called with the number of answers so far.

    The baselines are fitted on the same events as the weights: those before ``trained_until_ms``.
    """
    count = running_total(tell)
    before = exam.histories.until(artifact.manifest.data[TRAINED_UNTIL])
    baselines = _baselines(before, exam, say)
    rates = Calibration.from_json(artifact.read_object(CALIBRATION)).base_rates
    answers = {artifact.config.name: exam.ask_scorer(scorer, count)}
    for name, baseline in baselines.items():
        known_rates = rates if name == "popularity" else None
        answers[name] = exam.ask_baseline(baseline, known_rates, count)
    trained = _trained(artifact, before, exam)
    return Judged(exam, answers, judge(exam, answers, trained, _thresholds(artifact, exam)))


def unseen(artifact: Artifact, histories: Histories, say: Say) -> Period:
    """The period after model selection, or at least after training if the log ends earlier."""
    data = artifact.manifest.data
    for field in (TRAINED_UNTIL, SELECTED_UNTIL):
        if not isinstance(data.get(field), int):
            raise artifact.error(f"manifest has no {field}; train the model again")
    newest_ms = int(histories.times_ms.max())
    if newest_ms >= data[SELECTED_UNTIL]:
        return Period(data[SELECTED_UNTIL], newest_ms + 1)
    if newest_ms >= data[TRAINED_UNTIL]:
        say(
            "note: the best epoch and the calibration were chosen on these events; newer ones "
            "would be a fairer test"
        )
        return Period(data[TRAINED_UNTIL], newest_ms + 1)
    raise DataError(
        f"the newest event is at {newest_ms} ms, but the model was trained on all before "
        f"{data[TRAINED_UNTIL]} ms; give a log with newer events"
    )


def _baselines(before: Histories, exam: Exam, say: Say) -> Mapping[str, Baseline]:
    if (before.items >= 0).any():
        return {name: fit(before, len(exam.catalogue)) for name, fit in BASELINES.items()}
    say(
        "note: the log has no events from the time of training, so the model is compared only "
        "with popularity (from the artifact) and newest_first; give the training log too"
    )
    counts = exam.catalogue.counts.astype(np.float64)
    return {"popularity": Popularity(counts), "newest_first": NewestFirst()}


def _trained(artifact: Artifact, before: Histories, exam: Exam) -> Mask:
    """(V,) whether each item occurs in the training data.

    If the log does not reach back as far as the training log, all items count as trained for
    which the artifact has a count.
    """
    begin_ms = artifact.manifest.data.get("from_ms")
    whole = len(before.items) > 0 and begin_ms is not None
    if whole and before.times_ms.min() <= begin_ms:
        known = before.items[before.items >= 0]
        found: Mask = np.bincount(known, minlength=len(exam.catalogue)) > 0
        return found
    return exam.catalogue.counts > 0


def _thresholds(artifact: Artifact, exam: Exam) -> dict[str, Threshold]:
    """The best threshold on held-out events, or the base rate if those are evaluated here."""
    rates = Calibration.from_json(artifact.read_object(CALIBRATION)).base_rates
    thresholds = {
        name: Threshold(float(rate), "how often it happens in training")
        for name, rate in zip(exam.config.intents, rates, strict=True)
    }
    if exam.period.start_ms >= artifact.manifest.data[SELECTED_UNTIL]:
        held_out: Any = artifact.read_object(METRICS).get("held_out", {})
        for name, figures in held_out.get("intents", {}).items():
            chance = figures.get("threshold")
            if name in thresholds and chance is not None:
                thresholds[name] = Threshold(chance, "best F1 on held-out events in training")
    return thresholds
