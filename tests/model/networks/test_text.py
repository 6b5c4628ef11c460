"""The text network: its input, and that the exported graph matches it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModel

from model.artifact.artifact import GRAPH
from model.config import ArtifactConfig
from model.graphs.build import graph_of
from model.networks.text import NO_TOKEN, Last, TextConfig, TextModel
from model.networks.text_encoder import TextEncoder
from model.onnx_session import session_of
from model.outputs import Outputs
from model.packaging.export import _inputs, _sample, export_onnx
from model.serving.graph_file import GraphFile
from tests.model.tiny_bert import write_tiny_bert

pytestmark = pytest.mark.timeout(400)  # libraries to load and a graph to export, one core shared

CONFIG = ArtifactConfig(name="tiny", network="bert", top_items=5, top_categories=3)
ITEMS, CATEGORIES = 60, 4
BEGIN, PART, PAD = 2, 3, 0


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> TextModel:
    """Random weights large enough to separate users; titles of two or three tokens."""
    encoder = TextEncoder.open(write_tiny_bert(tmp_path_factory.mktemp("network") / "bert"))
    config = TextConfig(
        items=ITEMS,
        categories=CATEGORIES,
        encoder=encoder.network.config.to_dict(),
        marks=(BEGIN, PART, PAD),
        title_tokens=3,
        most_tokens=24,
    )
    torch.manual_seed(7)
    model = TextModel(config)
    model.encoder.load_state_dict(encoder.network.state_dict())
    model.item_tokens[1:] = torch.randint(5, 15, (ITEMS + 1, 3)).int()
    model.item_tokens[::2, 2] = NO_TOKEN
    model.action_words[1:, 0] = torch.tensor([15, 16, 17]).int()
    model.item_vectors[2:] = nn.functional.normalize(torch.randn(ITEMS, encoder.width), dim=1)
    with torch.no_grad():
        model.copy.weight.normal_(std=0.2)
        model.bias.normal_()
    nn.Module.eval(model)
    return model


def codes(*values: int) -> Tensor:
    return torch.tensor([values], dtype=torch.int32)


def last(network: TextModel, items: Tensor, actions: Tensor, gaps: Tensor, length: int) -> Last:
    return Last.of(items, actions, gaps, torch.tensor([length]), network.config.last_items)


def test_it_reads_the_last_five_actions_newest_first() -> None:
    six, actions, gaps = (
        codes(11, 12, 13, 14, 15, 16, 0, 0),
        codes(*[1] * 6, 0, 0),
        codes(*range(8)),
    )

    found = Last.of(six, actions, gaps, torch.tensor([6]), 5)

    assert found.items.tolist() == [[16, 15, 14, 13, 12]]
    assert found.waited.tolist() == [[4, 3, 2, 1, 0]]  # the gap before 16 is stored at 15


def test_a_short_window_is_padded_with_zeros() -> None:
    found = Last.of(codes(7, 8, 0, 0), codes(1, 2, 0, 0), codes(5, 6, 0, 0), torch.tensor([2]), 5)

    assert found.items.tolist() == [[8, 7, 0, 0, 0]]
    assert found.actions.tolist() == [[2, 1, 0, 0, 0]]
    assert found.waited.tolist() == [[5, 0, 0, 0, 0]]


def test_a_repeated_item_is_marked_unless_it_is_unknown() -> None:
    items = torch.tensor([[9, 1, 9, 1, 9], [9, 8, 7, 6, 5]])

    again = Last(items, items, items).again()

    assert again.tolist() == [[1, 0, 1, 0, 0], [0, 0, 0, 0, 0]]


def test_tokens_are_the_action_and_title_of_each_item_without_gaps(network: TextModel) -> None:
    items, click, buy = codes(5, 6, 0, 0), 15, 17
    two = last(network, items, codes(1, 3, 0, 0), codes(1, 1, 0, 0), 2)

    tokens, mask = network.texts(two)

    short, long = network.item_tokens[6, :2].tolist(), network.item_tokens[5].tolist()
    read = [BEGIN, buy, *short, PART, click, *long, PART]
    assert tokens[0].tolist() == read + [PAD] * (24 - len(read))
    assert mask[0].tolist() == [1] * len(read) + [0] * (24 - len(read))


def test_a_long_input_loses_its_oldest_tokens(network: TextModel) -> None:
    items = codes(3, 5, 7, 9, 11, 0, 0, 0)  # titles of three tokens: 1 + 5 · (1 + 3 + 1) = 26
    five = last(network, items, codes(*[1] * 5, 0, 0, 0), codes(*[1] * 8), 5)

    tokens, mask = network.texts(five)

    assert mask.sum() == 24
    oldest = network.item_tokens[
        3, :2
    ].tolist()  # its third token and its [SEP] are cut off: 26 − 24
    assert tokens[0, -4:].tolist() == [PART, 15, *oldest]


def test_a_saved_network_gives_the_same_outputs(network: TextModel, tmp_path: Path) -> None:
    network.save_pretrained(tmp_path)

    again = AutoModel.from_pretrained(tmp_path, local_files_only=True)

    inputs = sample(network, 12)
    for ours, theirs in zip(network(*inputs), again(*inputs), strict=True):
        assert torch.equal(ours, theirs)


def sample(network: TextModel, rows: int) -> list[Tensor]:
    drawn = _inputs(graph_of(network, CONFIG), _sample(network, CONFIG, rows))
    return [torch.from_numpy(part) for part in drawn.values()]


def test_trimming_the_padding_changes_only_rounding(network: TextModel) -> None:
    two = last(network, codes(5, 6, 0, 0), codes(1, 3, 0, 0), codes(1, 1, 0, 0), 2)

    with torch.inference_mode():
        narrow, wide = network.read(two, trim=True), network.read(two)
    assert narrow.numpy() == pytest.approx(wide.numpy(), abs=1e-5)


def test_the_exported_graph_gives_the_same_outputs_in_any_batch(
    network: TextModel, tmp_path: Path
) -> None:
    export_onnx(network, CONFIG, tmp_path)  # also compares it with torch, to 1e-5
    session = session_of(tmp_path / GRAPH)
    graph = graph_of(network, CONFIG)
    inputs = _inputs(graph, _sample(network, CONFIG, 30))

    whole = session.run(graph.outputs, inputs)
    served = session_of(GraphFile.read(tmp_path / GRAPH).cut(Outputs._fields))
    for name, values, found in zip(graph.outputs, whole, served.run(None, inputs), strict=False):
        assert np.array_equal(values, found), f"{name}, of the graph that a worker loads"
    for size in (1, 7):
        parts = [
            session.run(graph.outputs, {k: v[at : at + size] for k, v in inputs.items()})
            for at in range(0, 30, size)
        ]
        for name, values, *split in zip(graph.outputs, whole, *parts, strict=True):
            assert np.array_equal(values, np.concatenate(split)), f"{name}, batches of {size}"

    spare = {"lengths": 0, "items": 4, "actions": 4, "gaps": 4}
    short = {k: v[:3, :4] if v.ndim == 2 else v[:3].clip(max=4) for k, v in inputs.items()}
    wider = {k: np.pad(v, [(0, 0), (0, 4)]) if spare[k] else v for k, v in short.items()}
    for name, narrow, wide in zip(
        graph.outputs,
        session.run(graph.outputs, short),
        session.run(graph.outputs, wider),
        strict=True,
    ):
        assert np.array_equal(narrow, wide), f"{name}, padded"


def test_probabilities_sum_to_one_and_unknown_items_are_never_copied(network: TextModel) -> None:
    ones = codes(1, 1, 1, 0)  # unknown items, clicked
    with torch.inference_mode():
        shares, *_ = network(ones, ones, ones, torch.tensor([3]))
        state = network.read(last(network, ones, ones, ones, 3))
        scores = network.generate(state) @ network.item_vectors[2:].T + network.bias

    assert shares.sum().item() == pytest.approx(1.0, abs=1e-5)
    assert shares.numpy() == pytest.approx(torch.softmax(scores, dim=1).numpy(), abs=1e-6)
