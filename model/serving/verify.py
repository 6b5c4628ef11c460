"""The verification of an artifact: all checks that a worker makes before it serves one."""

from pathlib import Path
from typing import Any

from model.artifact.artifact import Artifact
from model.serving.onnx import OnnxScorer


def verify(folder: Path | str) -> dict[str, Any]:
    """Run a worker's checks on an artifact; returns the manifest's fields.

    Raises ``ArtifactError`` for the first check that fails.
    """
    artifact = Artifact.open(folder)
    OnnxScorer(artifact)
    return artifact.manifest.to_json()
