"""The networks: one architecture per file, each a ``PreTrainedModel`` with its configuration."""

from importlib import import_module
from typing import Any

# Imported lazily: a worker on a CPU reads the names and may lack torch.
NETWORKS = {
    "transformer": "model.networks.transformer:TransformerModel",
    "gru": "model.networks.recurrent:GruModel",
    "lstm": "model.networks.recurrent:LstmModel",
    "mlp": "model.networks.mlp:MlpModel",
    "path": "model.networks.path:PathModel",
    "bert": "model.networks.text:TextModel",
}


def network_class(name: str) -> Any:
    """The network class of this name, one of ``NETWORKS``."""
    module, _, attribute = NETWORKS[name].partition(":")
    return getattr(import_module(module), attribute)
