"""The choice of graph: the graph class that serves each network."""

from torch import nn

from model.config import ArtifactConfig
from model.graphs.mlp import MlpGraph
from model.graphs.path import PathGraph
from model.graphs.sequence import ServingGraph
from model.graphs.servable import Servable
from model.graphs.text import TextGraph
from model.networks.mlp import MlpModel
from model.networks.network import Network
from model.networks.path import PathModel
from model.networks.sequence import SequenceModel
from model.networks.text import TextModel


def graph_of(network: Network, config: ArtifactConfig) -> Servable:
    """Build the graph to export and serve, in eval mode, on the device of the network."""
    match network:
        case SequenceModel():
            graph: Servable = ServingGraph(network, config)
        case MlpModel():
            graph = MlpGraph(network, config)
        case PathModel():
            graph = PathGraph(network, config)
        case TextModel():
            graph = TextGraph(network, config)
        case _:
            raise TypeError(f"no graph serves a {type(network).__name__}")
    nn.Module.eval(graph)
    return graph
