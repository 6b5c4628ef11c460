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
    report: Annotated[
        Path | None,
        typer.Option(metavar="FILE.html", help="Also write all figures and plots as one page."),
    ] = None,
) -> None:
    """Test the model and each baseline on every event that the model was not trained on.

    First comes a verdict: whether the model beats the best rule, which intents it predicts better
    than a constant, and where it fails.

    Give the training log too: then the histories of its users are known, and the baselines can
    be fitted on the same events as the model.
    """
    need_training()
    from model.artifact.artifact import Artifact
    from model.baselines import BASELINES
    from model.data.log import EventLog
    from model.evaluation.run import examine, run
    from model.evaluation.summary import summary
    from model.evaluation.verdict import decide
    from model.progress import progress
    from model.serving import load_scorer

    artifact = Artifact.open(folder)
    frame = EventLog.open(events).frame
    scorer = load_scorer(folder)
    exam = examine(artifact, frame, say)
    with progress("evaluating", len(exam) * (1 + len(BASELINES))) as update:
        judged = run(artifact, scorer, exam, update, say)
    verdict = decide(exam, judged.answers, judged.evaluation)
    typer.echo(summary(judged.evaluation, verdict))
    figures = {
        "artifact": artifact.version,
        **judged.evaluation.to_json(),
        "verdict": verdict.to_json(),
    }
    if plots is not None or report is not None:
        from model.evaluation.gallery import gallery
        from model.evaluation.plots import write
        from model.evaluation.web_page import write_page

        drawn, late = gallery(artifact, judged, scorer, say)
        figures["by_delay"] = [point._asdict() for point in late]
        if plots is not None:
            say(f"plots: {', '.join(str(path) for path in write(drawn, plots)) or 'none'}")
        if report is not None:
            title = f"{artifact.config.name} {artifact.version}"
            write_page(report, title, judged, verdict, drawn)
            say(f"report: {report}")
    write_json(json_file, figures)
