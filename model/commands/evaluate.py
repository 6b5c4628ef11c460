"""The command that evaluates: a model beside every baseline."""

from typing import TYPE_CHECKING, Any

import typer

from model.commands.common import Events, Folder, JsonFile, need_training, say, write_json

if TYPE_CHECKING:
    from model.dataset import Histories, Period


def evaluate(
    folder: Folder,
    events: Events,
    json_file: JsonFile = None,
) -> None:
    """Ask the model, and each baseline, before every event that it was not trained on.

    Give the log it was trained on too: then its users are not strangers.
    """
    need_training()
    from model.artifact import Artifact
    from model.baselines.popularity import PopularityScorer
    from model.data import EventLog
    from model.dataset import read_histories
    from model.evaluation import ask, evaluate
    from model.evaluation_report import table
    from model.progress import progress
    from model.scorer import Scorer
    from model.serving.onnx import OnnxScorer

    artifact = Artifact.open(folder)
    config, catalogue = artifact.config, artifact.read_catalogue()
    histories = read_histories(EventLog.open(events).frame, catalogue, config)
    period = _unseen(histories, artifact.manifest.data)
    scorers: list[Scorer] = [OnnxScorer(artifact), PopularityScorer(artifact)]
    total = len(ask(histories, config, period).end) * len(scorers)
    with progress("evaluating", total) as tell:
        evaluation = evaluate(scorers, histories, catalogue, config, period, tell)
    typer.echo(table(evaluation))
    write_json(json_file, {"artifact": artifact.version, **evaluation.to_json()})


def _unseen(histories: "Histories", data: Any) -> "Period":
    """The events later than those the weights, or at least the choice of them, have seen."""
    from model.dataset import SELECTED_UNTIL, TRAINED_UNTIL, Period
    from model.errors import DataError

    newest_ms = int(histories.times_ms.max())
    if newest_ms >= data[SELECTED_UNTIL]:
        return Period(data[SELECTED_UNTIL], newest_ms + 1)
    if newest_ms >= data[TRAINED_UNTIL]:
        say("note: these events chose the best epoch; newer ones would be a fairer test")
        return Period(data[TRAINED_UNTIL], newest_ms + 1)
    raise DataError(
        f"the newest event is of {newest_ms} ms, but the model was trained on all before "
        f"{data[TRAINED_UNTIL]} ms; give a log with newer events"
    )
