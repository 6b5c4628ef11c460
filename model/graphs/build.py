"""The choice of graph: the classes that export each network, and that the torch engine runs."""

from torch import nn

from model.config import ArtifactConfig
from model.graphs.mlp import MlpGraph
from model.graphs.path import PathGraph
from model.graphs.sequence import ServingGraph
from model.graphs.servable import Servable
from model.graphs.slabbed import CandidatesGraph, OrderedPathGraph, SlabGraph, TextSlabGraph
from model.graphs.text import TextGraph
from model.networks.mlp import MlpModel
from model.networks.network import Network
from model.networks.path import PathModel
from model.networks.sequence import SequenceModel
from model.networks.text import TextModel


def graph_of(network: Network, config: ArtifactConfig) -> Servable:
    """Build the graph to export, in eval mode, on the device of the network."""
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


def best_graph_of(network: Network, config: ArtifactConfig) -> Servable:
    """Build the graph that gives the same answers without the whole distribution, in eval mode."""
    match network:
        case SequenceModel():
            graph: Servable = SlabGraph(network, config)
        case MlpModel():
            graph = CandidatesGraph(network, config)
        case PathModel():
            graph = OrderedPathGraph(network, config)
        case TextModel():
            graph = TextSlabGraph(network, config)
        case _:
            raise TypeError(f"no graph serves a {type(network).__name__}")
    nn.Module.eval(graph)
    return graph
