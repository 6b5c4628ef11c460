"""The networks: one architecture a file, each a ``PreTrainedModel`` with its own configuration."""

from importlib import import_module
from typing import Any

# Imported late: a worker on a CPU reads the names without having torch.
NETWORKS = {
    "transformer": "model.networks.transformer:TransformerModel",
    "gru": "model.networks.recurrent:GruModel",
    "lstm": "model.networks.recurrent:LstmModel",
    "mlp": "model.networks.mlp:MlpModel",
    "path": "model.networks.path:PathModel",
    "bert": "model.networks.text:TextModel",
}


def network_class(name: str) -> Any:
    """The class of a network by its name, one of ``NETWORKS``."""
    module, _, attribute = NETWORKS[name].partition(":")
    return getattr(import_module(module), attribute)
