"""The verification of an artifact: all that a worker would check before it serves it."""

from pathlib import Path
from typing import Any

from model.artifact.artifact import Artifact
from model.serving.onnx import OnnxScorer


def verify(folder: Path | str) -> dict[str, Any]:
    """Check everything a worker would; the manifest's fields if all is well.

    Raises ``ArtifactError`` with the first thing that is wrong.
    """
    artifact = Artifact.open(folder)
    OnnxScorer(artifact)
    return artifact.manifest.to_json()
