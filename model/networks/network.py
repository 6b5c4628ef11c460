"""The network: what every architecture offers, whatever it looks at."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from transformers import PreTrainedConfig

    from model.config import ArtifactConfig


class Network(Protocol):
    """A ``PreTrainedModel`` with a configuration of its own, registered with the Auto classes."""

    config: "PreTrainedConfig"

    def serving(self, config: "ArtifactConfig") -> "nn.Module":
        """The graph that is exported and served, in eval mode.

        It takes some of the arrays of ``features.Padded``, by name, and gives those of
        ``answers.Outputs`` and, behind them, some of ``answers.EXTRAS``.
        """
        ...

    def save_pretrained(self, save_directory: "Path") -> object:
        """Write ``config.json`` and ``model.safetensors``."""
        ...
