"""The network: what every architecture offers, whatever it looks at."""

from typing import TYPE_CHECKING, ClassVar, Protocol

from torch import nn

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig

    from model.config import ArtifactConfig


class Servable(nn.Module):
    """A graph that can be exported and served, in eval mode.

    ``forward`` takes the arrays of ``features.Padded`` that ``inputs`` names, in that order, and
    gives those that ``outputs`` names: the ones of ``answers.Outputs``, and behind them at least
    ``probabilities`` (B, V), the whole distribution over the catalogue.
    """

    inputs: ClassVar[tuple[str, ...]]
    outputs: ClassVar[tuple[str, ...]]


class Network(Protocol):
    """A ``PreTrainedModel`` with a configuration of its own, registered with the Auto classes.

    Its configuration says how many ``items`` and ``categories`` it was made for.
    """

    config: "PreTrainedConfig"

    def serving(self, config: "ArtifactConfig") -> Servable:
        """The graph to export and serve."""
        ...

    def save_pretrained(self, save_directory: "Path") -> object:
        """Write ``config.json`` and ``model.safetensors``."""
        ...
