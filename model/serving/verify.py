"""The verification of an artifact: all checks that a worker makes before it serves one."""

from pathlib import Path
from typing import Any, NamedTuple

from model.artifact.artifact import Artifact
from model.config import BFLOAT16
from model.scorer import Vocabulary
from model.serving import Engine, load_scorer


class Verified(NamedTuple):
    """What a verified artifact says of itself: the manifest's fields, and what it knows."""

    manifest: dict[str, Any]
    vocabulary: Vocabulary


def verify(folder: Path | str) -> Verified:
    """Run a worker's checks on an artifact; raises ``ArtifactError`` for the first that fails."""
    artifact = Artifact.open(folder)
    engine: Engine = "torch" if artifact.config.catalogue_end == BFLOAT16 else "onnx"
    scorer = load_scorer(folder, engine, "cpu")
    return Verified(artifact.manifest.to_json(), scorer.vocabulary)
