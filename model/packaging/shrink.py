"""The shrinking: an artifact for CPUs alone, its largest tables in bytes, and what that costs.

The graph stays, with a byte for each number of the item vectors and of the rules. The weights go,
for nobody but the torch engine, a warm start or an extension needs them.
"""

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

from model.artifact.artifact import (
    ATTRIBUTES,
    GRAPH,
    METRICS,
    NETWORK_CONFIG,
    SHRUNK,
    WEIGHTS,
    Artifact,
    ArtifactWriter,
)
from model.artifact.network import load_network
from model.artifact.page import shrunk_figures
from model.data.dataset import NO_NEXT
from model.evaluation import metrics
from model.graphs.sequence_int8 import SmallGraph
from model.networks.sequence import SequenceModel
from model.packaging.export import export_onnx
from model.progress import running_total
from model.serving.onnx import OnnxScorer

if TYPE_CHECKING:
    from model.evaluation.exam import Exam, Tell

LEFT_OUT = (WEIGHTS, NETWORK_CONFIG, ATTRIBUTES)  # the last one names rows of the weights
DIGITS = 6

Figures = Mapping[str, float | None]


class Trial(NamedTuple):
    """Events to measure on: the questions, their fingerprint, and whom to tell the progress."""

    exam: "Exam"
    fingerprint: str
    tell: "Tell" = lambda _: None

    def telling(self, tell: "Tell") -> "Trial":
        """The same; ``tell`` is told how many answers there are so far."""
        return self._replace(tell=running_total(tell))


def shrink(
    artifact: Artifact, folder: Path, trial: Trial | None = None, *, overwrite: bool = False
) -> Artifact:
    """Write the artifact again, smaller, and say in it how good it was before and is now.

    1. Export the graph again, with tables in bytes.
    2. Ask both the same questions, if there is a trial.
    3. Write the rest, with what was found.

    Raises ``ArtifactError`` for a network that has no such tables, and for a shrunken artifact.
    """
    with ArtifactWriter(folder, overwrite=overwrite) as writer:
        network = load_network(artifact)
        if not isinstance(network, SequenceModel):
            raise artifact.error(
                f"its network is {artifact.config.network}, which has no tables to shrink; serve "
                "it as it is"
            )
        for name in artifact.manifest.files:
            if name not in (*LEFT_OUT, GRAPH):
                shutil.copyfile(artifact.path(name), writer.draft / name)
        small = SmallGraph(network, artifact.config).eval()
        export_onnx(network, artifact.config, writer.draft, small)
        found: dict[str, Any] = {"measured_on": "nothing"}
        if trial is not None:
            found = {
                "measured_on": {"fingerprint": trial.fingerprint, "questions": len(trial.exam)},
                "before": measure(artifact, trial),
                "after": _measure_draft(artifact, writer, trial),
            }
            figures = artifact.read_object(METRICS) | {SHRUNK: found}
            writer.write_object(METRICS, figures)
        origin = {"from": artifact.version, "from_bytes": size_bytes(artifact), "tables": "int8"}
        return _seal(artifact, writer, origin | found)


def measure(artifact: Artifact, trial: Trial) -> dict[str, float | None]:
    """What a trial says of an artifact, served by the onnx engine."""
    exam = trial.exam
    answers = exam.ask_scorer(OnnxScorer(artifact), trial.tell)
    asked = exam.questions.targets != NO_NEXT
    items = metrics.item_figures(answers.ranks(exam.questions.targets)[asked])
    figures: dict[str, float | None] = dict(items)
    assert answers.chances is not None, "who serves tells of the intents"
    for column, intent in enumerate(artifact.config.intents):
        labels, chances = exam.questions.intents[:, column], answers.chances[:, column]
        figures[f"{intent} ece"] = metrics.intent_figures(labels, chances)["ece"]
    named = {name: figures[name] for name in shrunk_figures(artifact.config.intents)}
    return {name: None if f is None else round(f, DIGITS) for name, f in named.items()}


def size_bytes(artifact: Artifact) -> int:
    """Of all files that the manifest lists."""
    return sum(proof.size_bytes for proof in artifact.manifest.files.values())


def _measure_draft(artifact: Artifact, writer: ArtifactWriter, trial: Trial) -> Figures:
    """What a trial says of a draft: of a copy of it, for only what is sealed can be served."""
    with TemporaryDirectory() as scratch, ArtifactWriter(Path(scratch) / "draft") as copy:
        shutil.copytree(writer.draft, copy.draft, dirs_exist_ok=True)
        return measure(_seal(artifact, copy, {}), trial)


def _seal(artifact: Artifact, writer: ArtifactWriter, shrunk: Mapping[str, Any]) -> Artifact:
    return writer.seal(
        artifact.config,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        data=artifact.manifest.data,
        made={**artifact.manifest.made, SHRUNK: dict(shrunk)},
    )
