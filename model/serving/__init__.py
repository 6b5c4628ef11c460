"""The engines: each serves an artifact through the protocol ``model.scorer.Scorer``."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from model.errors import OptionsError, ScorerError, how_to_install
from model.serving.options import NO_OPTIONS, ScoringOptions
from model.serving.throughput import Measurable, Service, choose_cap, measure_service_curve

if TYPE_CHECKING:
    from model.artifact.artifact import Artifact
    from model.serving.onnx import OnnxScorer

__all__ = [
    "Engine",
    "Measurable",
    "Service",
    "choose_cap",
    "cpu_scorer",
    "load_scorer",
    "measure_service_curve",
]

Engine = Literal["onnx", "torch", "null"]


def load_scorer(
    folder: Path | str | None,
    engine: Engine = "onnx",
    device: str | None = None,
    options: ScoringOptions = NO_OPTIONS,
) -> Measurable:
    """Open an artifact with an engine; only that engine's libraries are imported.

    ``device`` is torch's: ``cpu``, ``cuda`` or ``cuda:N``; None means the GPU if there is one. On
    a CPU torch is set to one thread for the whole process, as ONNX Runtime is for its session.
    The null engine reads no artifact and takes no options.
    Raises ``ArtifactError`` if the artifact is invalid, ``ScorerError`` if the engine or the
    device is unavailable, ``OptionsError`` if the options do not fit.
    """
    if engine == "null":
        if options != NO_OPTIONS:
            raise OptionsError("the null engine takes no options; use onnx, or leave them out")
        from model.serving.null import NullScorer

        return NullScorer()
    if folder is None:
        raise ScorerError(f"the {engine} engine needs an artifact; name its folder")
    from model.artifact.artifact import Artifact

    artifact = Artifact.open(folder)
    if engine == "onnx":
        return cpu_scorer(artifact, options)
    try:
        import torch

        from model.serving.torch import TorchScorer
    except ModuleNotFoundError as error:
        raise ScorerError(
            f"the torch engine needs {error.name}, which is not installed; "
            f"{how_to_install()}, or use the onnx engine"
        ) from None
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cpu":
        torch.set_num_threads(1)  # on shared cores, syncing threads at each layer is slower
    return TorchScorer(artifact, device, options)


def cpu_scorer(artifact: "Artifact", options: ScoringOptions = NO_OPTIONS) -> "OnnxScorer":
    """The engine for a CPU, with the end of a score that the artifact names.

    Raises ``ArtifactError`` for one that torch alone computes.
    """
    if artifact.config.catalogue_end == "bfloat16":
        raise artifact.error(
            "its scores are the torch engine's, in bfloat16; use that engine (--scorer torch), or "
            "let the graph serve a copy: lately artifact bf16 --undo"
        )
    if artifact.config.catalogue_end == "native":
        from model.serving.native import NativeScorer

        return NativeScorer(artifact, options)
    from model.serving.onnx import OnnxScorer

    return OnnxScorer(artifact, options)
