"""The network: what every architecture offers, whatever it looks at."""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedConfig


class Network(Protocol):
    """A ``PreTrainedModel`` with a configuration of its own, registered with the Auto classes.

    Its configuration says how many ``items`` and ``categories`` it was made for.
    """

    config: "PreTrainedConfig"

    def save_pretrained(self, save_directory: "Path") -> object:
        """Write ``config.json`` and ``model.safetensors``."""
        ...
