"""The network: the interface that every architecture implements."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig


class Network(Protocol):
    """A ``PreTrainedModel`` with a configuration of its own, registered with the Auto classes.

    Its configuration has the numbers of ``items`` and ``categories`` it was made for.
    """

    config: "PreTrainedConfig"

    def save_pretrained(self, save_directory: "Path") -> object:
        """Write ``config.json`` and ``model.safetensors``."""
        ...
