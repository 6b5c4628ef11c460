"""The command ``evaluate``: compares a model with every baseline."""

from pathlib import Path
from typing import Annotated

import typer

from model.commands.common import Events, Folder, JsonFile, need_training, say, write_json


def evaluate(
    folder: Folder,
    events: Events,
    json_file: JsonFile = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Also write plots of the figures, as SVG.")
    ] = None,
) -> None:
    """Test the model and each baseline on every event that the model was not trained on.

    Give the training log too: then the histories of its users are known, and the baselines can
    be fitted on the same events as the model.
    """
    need_training()
    from model.artifact.artifact import Artifact
    from model.baselines import BASELINES
    from model.data.dataset import read_histories
    from model.data.log import EventLog
    from model.evaluation.report import table
    from model.evaluation.run import examine, run
    from model.progress import progress
    from model.serving import load_scorer

    artifact = Artifact.open(folder)
    frame = EventLog.open(events).frame
    histories = read_histories(frame, artifact.read_catalogue(), artifact.config)
    scorer = load_scorer(folder)
    exam = examine(artifact, histories, say)
    with progress("evaluating", len(exam) * (1 + len(BASELINES))) as update:
        judged = run(artifact, scorer, exam, update, say)
    typer.echo(table(judged.evaluation))
    figures = {"artifact": artifact.version, **judged.evaluation.to_json()}
    if plots is not None:
        from model.evaluation.gallery import write_plots

        late = write_plots(artifact, judged, scorer, plots, say)
        figures["by_delay"] = [point._asdict() for point in late]
    write_json(json_file, figures)
