"""The graphs of the torch engine give what the exported graphs give, for every network."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from model.config import ArtifactConfig
from model.features import Padded, random_windows
from model.graphs.build import best_graph_of, graph_of
from model.graphs.servable import Servable
from model.networks.candidates import Neighbours
from model.networks.mlp import MlpConfig, MlpModel
from model.networks.network import Network
from model.networks.path import PathConfig, PathModel
from model.networks.recurrent import GruConfig, GruModel, LstmConfig, LstmModel
from model.networks.text import TextConfig, TextModel
from model.outputs import Outputs
from tests.model.conftest import random_network
from tests.model.tiny_bert import write_tiny_bert

ITEMS, CATEGORIES = 300, 4


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)  # cores are shared, and threads that wait for each other take long


def transformer(_: Path) -> Network:
    return random_network(ITEMS, CATEGORIES)


def recurrent(kind: type[GruModel | LstmModel], shape: Any) -> Network:
    torch.manual_seed(7)
    network = kind(shape(items=ITEMS, categories=CATEGORIES, companions=2, width=16))
    network.companions[2:, 0] = (torch.arange(ITEMS) + 1) % ITEMS + 2
    network.shares[:, 2:, 0] = torch.rand(2, ITEMS).half()
    network.support[:, 2:] = 5
    return network


def gru(_: Path) -> Network:
    return recurrent(GruModel, GruConfig)


def lstm(_: Path) -> Network:
    return recurrent(LstmModel, LstmConfig)


def mlp(_: Path) -> Network:
    torch.manual_seed(7)
    network = MlpModel(
        MlpConfig(items=ITEMS, categories=CATEGORIES, width=8, hidden=(16, 8), neighbours=2)
    )
    codes = (np.arange(ITEMS + 2)[:, None] + np.array([1, 2])) % ITEMS + 2
    near = Neighbours(codes, np.full(codes.shape, 0.3, dtype=np.float32))
    network.set_items(torch.arange(ITEMS) % CATEGORIES, np.arange(ITEMS, 0, -1), near)
    return network


def path(_: Path) -> Network:
    torch.manual_seed(7)
    network = PathModel(PathConfig(items=ITEMS, categories=CATEGORIES))
    network.set_items(torch.arange(ITEMS) % CATEGORIES, torch.arange(ITEMS, 0, -1))
    return network


def bert(folder: Path) -> Network:
    from transformers import AutoConfig

    inner = AutoConfig.from_pretrained(write_tiny_bert(folder / "bert"))
    torch.manual_seed(7)
    network = TextModel(
        TextConfig(
            items=ITEMS,
            categories=CATEGORIES,
            encoder=inner.to_dict(),
            marks=(2, 3, 0),
            title_tokens=3,
            most_tokens=24,
        )
    )
    network.item_tokens[1:] = torch.randint(5, 15, (ITEMS + 1, 3)).int()
    network.action_words[1:, 0] = torch.tensor([15, 16, 17]).int()
    network.item_vectors[2:] = nn.functional.normalize(torch.randn(ITEMS, 32), dim=1)
    return network


@pytest.fixture(scope="module", params=[transformer, gru, lstm, mlp, path, bert])
def graphs(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Servable, Servable, ArtifactConfig]:
    make: Callable[[Path], Any] = request.param
    network = make(tmp_path_factory.mktemp("network"))
    nn.Module.eval(network)
    config = ArtifactConfig(network=make.__name__, top_items=7, top_categories=3)
    return graph_of(network, config), best_graph_of(network, config), config


def run(graph: Servable, padded: Padded) -> dict[str, Tensor]:
    inputs = (torch.from_numpy(getattr(padded, name)) for name in graph.inputs)
    with torch.inference_mode():
        return dict(zip(graph.outputs, graph(*inputs), strict=True))


def test_it_gives_what_the_exported_graph_gives(
    graphs: tuple[Servable, Servable, ArtifactConfig],
) -> None:
    exported, served, config = graphs
    windows = random_windows(config, ITEMS, 64)

    expected, found = run(exported, windows), run(served, windows)

    assert set(Outputs._fields) <= set(found) <= set(expected)
    for name, values in found.items():
        if name != "top_items":
            assert values.numpy() == pytest.approx(expected[name].numpy(), abs=1e-5), name
    # Near equals may come in either order, so each item must have the probability of its rank.
    own = expected["probabilities"].gather(1, found["top_items"])
    assert own.numpy() == pytest.approx(expected["top_probs"].numpy(), abs=1e-5)
    assert all(len(set(row)) == 7 for row in found["top_items"].tolist())


class NoAnswer(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Fails when an operation brings a value of a tensor to the host."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = str(func)
        assert not name.startswith(("aten._local_scalar_dense", "aten.nonzero", "aten.item")), name
        return func(*args, **(kwargs or {}))


def test_it_never_waits_for_a_value_of_the_device(
    graphs: tuple[Servable, Servable, ArtifactConfig],
) -> None:
    """A CUDA graph cannot be captured otherwise; this holds on any device."""
    _, served, config = graphs
    windows = random_windows(config, ITEMS, 8)

    with NoAnswer():  # type: ignore[no-untyped-call]
        run(served, windows)
