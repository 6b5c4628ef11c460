"""The verification of an artifact: all checks that a worker makes before it serves one."""

from pathlib import Path
from typing import Any, NamedTuple

from model.artifact.artifact import Artifact
from model.scorer import Vocabulary
from model.serving import cpu_scorer


class Verified(NamedTuple):
    """What a verified artifact says of itself: the manifest's fields, and what it knows."""

    manifest: dict[str, Any]
    vocabulary: Vocabulary


def verify(folder: Path | str) -> Verified:
    """Run a worker's checks on an artifact; raises ``ArtifactError`` for the first that fails."""
    artifact = Artifact.open(folder)
    return Verified(artifact.manifest.to_json(), cpu_scorer(artifact).vocabulary)
