"""The shrinking: quantises the largest tables of an artifact to 8 bits, for CPUs only.

The graph stays, with one byte per number of the item vectors and of the rules. The weights are
dropped, since only the torch engine, a warm start or an extension needs them.
"""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
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
from model.scratch import scratch_folder
from model.serving.onnx import OnnxScorer

if TYPE_CHECKING:
    from model.evaluation.exam import Exam, Tell

LEFT_OUT = (WEIGHTS, NETWORK_CONFIG, ATTRIBUTES)  # the last one names rows of the weights
DIGITS = 6

Figures = Mapping[str, float | None]


class Trial(NamedTuple):
    """The exam to measure on, the fingerprint of its events, and a progress callback."""

    exam: "Exam"
    fingerprint: str
    tell: "Tell" = lambda _: None

    def heard_by(self, tell: "Tell") -> "Trial":
        """The same trial with a callback for the total number of answers so far."""
        return self._replace(tell=running_total(tell))


def shrink(
    artifact: Artifact, folder: Path, trial: Trial | None = None, *, overwrite: bool = False
) -> Artifact:
    """Write a smaller copy of the artifact, with the figures before and after in it.

    1. Export the graph again, with 8-bit tables.
    2. Evaluate both on the same questions, if there is a trial.
    3. Write the other files and the figures.

    Raises ``ArtifactError`` for a network without such tables, and for a shrunken artifact.
    """
    with ArtifactWriter(folder, overwrite=overwrite) as writer:
        network = load_network(artifact)
        if not isinstance(network, SequenceModel):
            raise artifact.error(
                f"its network is {artifact.config.network}, which has no tables to shrink; serve "
                "it unchanged"
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
            writer.write_object(METRICS, artifact.read_object(METRICS) | {SHRUNK: found})
        origin = {"from": artifact.version, "from_bytes": size_bytes(artifact), "tables": "int8"}
        return _seal(artifact, writer, origin | found)


def measure(artifact: Artifact, trial: Trial) -> dict[str, float | None]:
    """The figures of an artifact in a trial, served by the onnx engine."""
    exam = trial.exam
    answers = exam.ask_scorer(OnnxScorer(artifact), trial.tell)
    followed = exam.questions.targets != NO_NEXT
    items = metrics.item_figures(answers.ranks(exam.questions.targets)[followed])
    figures: dict[str, float | None] = dict(items)
    assert answers.chances is not None, "an engine predicts the intents"
    for column, intent in enumerate(artifact.config.intents):
        labels, chances = exam.questions.intents[:, column], answers.chances[:, column]
        figures[f"{intent} ece"] = metrics.intent_figures(labels, chances)["ece"]
    named = {name: figures[name] for name in shrunk_figures(artifact.config.intents)}
    return {name: None if f is None else round(f, DIGITS) for name, f in named.items()}


def size_bytes(artifact: Artifact) -> int:
    """The size of all files in the manifest."""
    return sum(proof.size_bytes for proof in artifact.manifest.files.values())


def _measure_draft(artifact: Artifact, writer: ArtifactWriter, trial: Trial) -> Figures:
    """Measure a sealed copy of the draft, since only a sealed artifact can be served."""
    with scratch_folder() as scratch, ArtifactWriter(scratch / "draft") as copy:
        shutil.copytree(writer.draft, copy.draft, dirs_exist_ok=True)
        return measure(_seal(artifact, copy, {}), trial)


def _seal(artifact: Artifact, writer: ArtifactWriter, shrunk: Mapping[str, Any]) -> Artifact:
    return writer.seal(
        replace(artifact.config, catalogue_end="graph"),  # the native core needs whole tables
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        data=artifact.manifest.data,
        made={**artifact.manifest.made, SHRUNK: dict(shrunk)},
    )
