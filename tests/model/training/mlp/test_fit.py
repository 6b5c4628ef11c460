"""The click-through network: its candidates, its scores, and its training."""

import json
from math import exp, log
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from model.artifact.artifact import Artifact
from model.config import ArtifactConfig
from model.data.log import EventLog
from model.features import Padded
from model.graphs.build import graph_of
from model.networks.candidates import Neighbours
from model.networks.mlp import MlpConfig, MlpModel
from model.serving.onnx import OnnxScorer
from model.serving.torch import TorchScorer
from model.training.mlp.fit import ANY, LIKELY, Draw, Draws, contrast, counted
from model.training.plan import Plan, Recipe
from model.training.run import run
from tests.model.cut_graph import assert_the_outputs_that_stay_have_the_same_bits

pytestmark = pytest.mark.timeout(400)  # libraries to load and a model to export, one core shared

ITEMS, CATEGORIES, LENGTH = 30, 3, 8
CONFIG = ArtifactConfig(network="mlp", max_length=LENGTH, top_items=5, top_categories=3)
NEAR = 2


@pytest.fixture(scope="module")
def network() -> MlpModel:
    """Random weights; item i has category i mod 3 and is followed by i + 1 and i + 2."""
    torch.manual_seed(5)
    network = MlpModel(
        MlpConfig(
            items=ITEMS,
            categories=CATEGORIES,
            max_length=LENGTH,
            width=8,
            hidden=(16, 8),
            neighbours=NEAR,
            popular=6,
        )
    )
    codes = np.zeros((ITEMS + 2, NEAR), dtype=np.int64)
    codes[2:] = (np.arange(ITEMS)[:, None] + [1, 2]) % ITEMS + 2
    shares = np.where(codes > 0, [0.6, 0.2], 0.0).astype(np.float32)
    counts = np.arange(ITEMS, 0, -1)
    network.set_items(torch.arange(ITEMS) % CATEGORIES, counts, Neighbours(codes, shares))
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(torch.randn_like(weights) * 0.1)
        network.out.bias.sub_(5.0)  # log probabilities: below 0
    nn.Module.eval(network)
    return network


def windows(*rows: list[int], hour: int = 9, width: int = LENGTH) -> Padded:
    """Clicks on these item codes."""
    lengths = np.array([len(row) for row in rows], dtype=np.int32)
    items = np.array([row + [0] * (width - len(row)) for row in rows], dtype=np.int32)
    ones = (items > 0).astype(np.int32)
    return Padded(items, ones, 3 * ones, lengths, np.full(len(rows), hour, dtype=np.int32))


def served(network: MlpModel, inputs: Padded) -> dict[str, Any]:
    graph = graph_of(network, CONFIG)
    with torch.inference_mode():
        said = graph(*map(torch.from_numpy, inputs))
    return {name: values.numpy() for name, values in zip(graph.outputs, said, strict=True)}


def test_popular_neighbouring_and_window_items_are_candidates(network: MlpModel) -> None:
    said = served(network, windows([20, 1, 25], [20, 20, 20]))
    popular = set(range(6))  # indices; a code is the index + 2
    near_18_and_23 = {19, 20, 24, 25}

    # Unknown items (code 1) are no candidates. The newest three positions add their neighbours.
    assert set(np.flatnonzero(said["probabilities"][0])) == popular | {18, 23} | near_18_and_23
    assert set(np.flatnonzero(said["probabilities"][1])) == popular | {18} | {19, 20}
    assert said["probabilities"].sum(axis=1) == pytest.approx(1.0)


def test_the_top_items_match_a_full_sort(network: MlpModel) -> None:
    said = served(network, windows([20, 1, 25], [2, 3], [9]))
    expected = np.sort(said["probabilities"], axis=1)[:, ::-1][:, :5]

    assert np.array_equal(said["top_probs"], expected)
    named = np.take_along_axis(said["probabilities"], said["top_items"], axis=1)
    assert np.array_equal(named, expected)


def test_a_category_probability_is_the_sum_of_its_items(network: MlpModel) -> None:
    said = served(network, windows([20, 1, 25]))
    sums = said["probabilities"].reshape(-1, ITEMS // CATEGORIES, CATEGORIES).sum(axis=1)

    assert said["category_probs"] == pytest.approx(sums)


def test_more_padding_and_other_users_change_nothing(network: MlpModel) -> None:
    alone = served(network, windows([20, 25], width=4))
    among = served(network, windows([20, 25], [7] * 8, [3]))

    for name, values in alone.items():
        assert among[name][0] == pytest.approx(values[0], abs=1e-6), name


def test_the_hour_and_the_order_change_the_scores(network: MlpModel) -> None:
    morning = served(network, windows([20, 25]))["probabilities"]

    assert not np.allclose(morning, served(network, windows([20, 25], hour=20))["probabilities"])
    assert not np.allclose(morning, served(network, windows([25, 20]))["probabilities"])


def test_given_candidates_are_scored_independently(network: MlpModel) -> None:
    inputs = windows([20, 25])
    together = network.score_candidates(inputs, np.array([[3, 29, 18, -1]]))
    alone = network.score_candidates(inputs, np.array([[29]]))

    assert together.shape == (1, 4, 1 + len(CONFIG.intents))
    assert together[0, 1] == pytest.approx(alone[0, 0])
    assert not together[0, 3].any()  # no candidate
    assert ((together >= 0) & (together <= 1)).all()


def test_given_candidates_rank_as_in_serving(network: MlpModel) -> None:
    inputs = windows([20, 25])
    said = served(network, inputs)["probabilities"][0]
    candidates = np.flatnonzero(said)
    chances = network.score_candidates(inputs, candidates[None])[0, :, 0]

    assert chances / chances.sum() == pytest.approx(said[candidates], rel=1e-4)


def test_contrast_of_one_event() -> None:
    """The next item and one negative; the item was put into the cart (action 1), not bought (2)."""
    log_chances = torch.tensor([[[-1.0, -2.0, -3.0], [-4.0, -5.0, -6.0]]])
    drawn = Draw(torch.tensor([[7, 8]]), torch.tensor([[log(0.5), log(2.0)]]))

    def wrong(z: float) -> float:
        return log(1 + exp(z))

    right = log(1 + exp(1 + log(0.5))), log(1 + exp(2 + log(0.5)))  # −log σ(z) = log(1 + e^−z)
    never = wrong(-3 - log(0.5)), wrong(-4 - log(2)), wrong(-5 - log(2)), wrong(-6 - log(2))
    loss = contrast(log_chances, drawn, counted(CONFIG)[[1]])

    assert float(loss) == pytest.approx(sum(right) + sum(never))


def test_an_intent_counts_every_action_that_is_named() -> None:
    config = ArtifactConfig(
        actions=("view", "put", "pay", "order"),
        intents=("cart", "buy"),
        intent_actions=(("put",), ("pay", "order")),
    )

    assert counted(config).tolist() == [
        [False, False],
        [True, False],
        [False, True],
        [False, True],
    ]


def test_an_item_proposed_twice_is_expected_twice(network: MlpModel) -> None:
    torch.manual_seed(0)
    counts = np.full(ITEMS, 4)
    items = torch.tensor([[20, 20, 31, 0]])
    drawn = Draws(network, counts).draw(items, torch.tensor([3]), torch.tensor([20]))
    proposed = 6 + 3 * NEAR + 3  # popular ones, neighbours of three items, the window

    assert drawn.codes.shape == (1, 1 + LIKELY + ANY)
    expected = ANY / ITEMS + 2 * LIKELY / proposed  # code 20 occurs twice in the window
    assert float(drawn.log_expected[0, 0].exp()) == pytest.approx(expected)


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """Trained on users who walk along a shelf: after item i they view i + 1."""
    folder = tmp_path_factory.mktemp("mlp")
    rng, rows = Random(1), []
    for user in range(80):
        item, ts = rng.randrange(ITEMS), 1_790_000_000_000 + rng.randrange(10**8)
        for _ in range(8):
            shelf = f"c{item // 10}"
            row = {"user_id": f"u{user}", "item_id": f"i{item:02}", "category": shelf}
            rows.append(row | {"action": "click", "ts": ts})
            item = (item + 1) % ITEMS if rng.random() < 0.9 else rng.randrange(ITEMS)
            ts += 1 + rng.randrange(60_000)
    path = folder / "events.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    torch.set_num_threads(1)
    plan = Plan(CONFIG, Recipe(epochs=6), width=16)
    return run(EventLog.open([path]), plan, folder / "artifact")


def test_it_learns_the_next_item(walks: Artifact) -> None:
    figures = walks.read_object("metrics.json")["held_out"]["items"]

    # Nine steps in ten go to the next item on the shelf; twenty of thirty items hit by chance.
    assert figures["lately"]["recall@5"] > 0.75 > 5 / ITEMS > 0
    assert figures["lately"]["recall@5"] > 2 * figures["popularity"]["recall@5"]


def test_the_worker_serves_it(walks: Artifact) -> None:
    scorer = OnnxScorer(walks)
    batch = scorer.sample(40)
    together = scorer.score(batch)

    assert together == [scorer.score([sequence])[0] for sequence in batch]
    for ours, theirs in zip(together, TorchScorer(walks).score(batch), strict=True):
        assert [p for _, p in ours.items] == pytest.approx([p for _, p in theirs.items], abs=1e-5)
        assert ours.intent == pytest.approx(theirs.intent, abs=1e-5)


def test_a_cut_graph_gives_the_same_bits(walks: Artifact) -> None:
    assert_the_outputs_that_stay_have_the_same_bits(walks)
