"""The gallery: the plots of one evaluation, which ones to draw, and from which data."""

from functools import partial

import numpy as np

from model.artifact.artifact import METRICS, Artifact
from model.evaluation import curves, metrics, plots
from model.evaluation.curves import Delayed
from model.evaluation.plots import Draw
from model.evaluation.run import Judged, Say
from model.scorer import Scorer


def gallery(
    artifact: Artifact, judged: Judged, scorer: Scorer, say: Say
) -> tuple[dict[str, Draw], list[Delayed]]:
    """Every plot that has data, by name, and the recall by delay of the state."""
    late = curves.recall_by_delay(judged.exam, scorer)
    figures = {**_learning(artifact), **_intents(judged, artifact.config.name)}
    if late:
        figures["recall_by_delay"] = partial(plots.recall_by_delay, late)
    if "learning_curve" not in figures:
        say("note: the artifact does not record its epochs, so there is no learning curve")
    return figures, late


def _learning(artifact: Artifact) -> dict[str, Draw]:
    epochs = curves.learning_epochs(artifact.read_object(METRICS))
    return {"learning_curve": partial(plots.learning_curve, epochs)} if epochs else {}


def _intents(judged: Judged, model: str) -> dict[str, Draw]:
    """The plots of the intents with positives and negatives; others have nothing to draw."""
    chances = judged.answers[model].chances
    assert chances is not None
    lines, precisions, tables, bins = {}, {}, {}, {}
    for column, intent in enumerate(judged.exam.config.intents):
        pair = judged.exam.questions.intents[:, column], chances[:, column]
        line, precision = curves.roc(*pair), curves.precision_recall(*pair)
        if line is None or precision is None:
            continue
        labels, known = curves.known(*pair)
        threshold = judged.evaluation.thresholds[intent].chance
        ece = metrics.expected_calibration_error(labels, known) or 0.0
        lines[intent] = line
        precisions[intent] = precision, float(np.mean(labels))
        tables[intent] = curves.confusion(*pair, threshold), threshold
        bins[intent] = curves.reliability(*pair), ece
    if not lines:
        return {}
    return {
        "roc": partial(plots.roc, lines),
        "precision_recall": partial(plots.precision_recall, precisions),
        "confusion": partial(plots.confusion, tables),
        "reliability": partial(plots.reliability, bins),
    }
