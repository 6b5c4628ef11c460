"""The training of the text network, on a tiny encoder and a shop of eight titles."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.artifact.calibration import sigmoid
from model.config import ArtifactConfig
from model.data.dataset import Labels
from model.data.log import EventLog, Item
from model.errors import DataError
from model.evaluation.metrics import auc, recall_at
from model.features import CENSORED
from model.networks.text import NO_TOKEN, TextModel
from model.networks.text_encoder import TextEncoder
from model.training.plan import Plan, Progress, Recipe
from model.training.text import fit as training_text
from model.training.text.build import build
from model.training.text.fit import choose, fit, merge, yes_weights
from model.training.training_data import TrainingData, read
from tests.model.tiny_bert import write_tiny_bert

pytestmark = pytest.mark.timeout(400)  # libraries to load and a model to train, one core shared

COLOURS, NOUNS = ("red", "blue", "green", "large"), ("lamp", "lipstick")
ITEMS = {
    f"{noun}-{colour}": Item(f"{noun}-{colour}", noun, f"{colour} {noun}")
    for noun in NOUNS
    for colour in COLOURS
}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    torch.set_num_threads(1)
    folder = write_tiny_bert(tmp_path_factory.mktemp("training") / "bert")
    recipe = Recipe(epochs=2, learning_rate=5e-3)
    return Plan(ArtifactConfig(network="bert", horizon_s=45), recipe, encoder=folder, tune="all")


START_MS = 1_790_000_000_000


@pytest.fixture(scope="module")
def data(plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    """Users stay with one noun and view its colours in turn; lipsticks are bought.

    Users arrive a minute apart, so the newest events belong to the last few users.
    """
    path = tmp_path_factory.mktemp("log") / "events.csv"
    rows = ["user_id,item_id,action,ts"]
    for user, step in itertools.product(range(60), range(10)):
        noun = NOUNS[user % 2]
        action = "buy" if noun == "lipstick" and step % 2 else "click"
        item = f"{noun}-{COLOURS[(user // 2 + step) % 4]}"
        rows.append(f"u{user},{item},{action},{START_MS + user * 60_000 + step * 20_000}")
    path.write_text("\n".join(rows))
    return read(EventLog.open([path]), plan, ITEMS)


def fresh(data: TrainingData, plan: Plan) -> TextModel:
    assert plan.encoder is not None
    return build(data, plan, TextEncoder.open(plan.encoder))[0]


def test_it_learns_next_items_and_intents_from_titles(data: TrainingData, plan: Plan) -> None:
    heard: list[Progress] = []

    network, said, *_ = fit(
        data, replace(plan, recipe=Recipe(epochs=6, learning_rate=5e-3)), heard.append
    )

    # Four of the eight items have the noun. A model that knows only the noun ranks the right one
    # first in a quarter of cases; the order of the colours determines it.
    assert recall_at(said.ranks, 1) > 0.5
    assert recall_at(said.ranks, 4) > 0.9
    known = said.intents[:, 1] != CENSORED
    rated = auc(said.intents[known, 1], sigmoid(said.intent_logits[known, 1].astype(np.float64)))
    assert rated is not None and rated > 0.8  # only the end of a visit is unpredictable
    assert not network.training  # type: ignore[attr-defined]
    assert next(p for p in reversed(heard) if p.phase == "training").validation is not None


def test_a_new_item_is_scorable_from_its_text(plan: Plan, tmp_path: Path) -> None:
    """An item without events in the log has a vector, tokens and a probability like any other."""
    new = {"candle-red": Item("candle-red", "lamp", "red candle")}
    path = tmp_path / "events.csv"
    path.write_text(
        "user_id,item_id,action,ts\n"
        + "\n".join(
            f"u{k % 7},lamp-{COLOURS[k % 4]},click,{START_MS + k * 1000}" for k in range(100)
        )
    )
    network = fresh(read(EventLog.open([path]), plan, ITEMS | new), plan)

    code = sorted(ITEMS | new).index("candle-red") + 2
    vectors = network.item_vectors
    assert vectors[code].norm() == pytest.approx(1.0, abs=1e-5)
    assert (network.item_tokens[code] != NO_TOKEN).sum() == 2
    one = torch.tensor([[code, 0, 0, 0]])
    shares, *_ = network(one, one.clamp(max=1), one.clamp(max=1), torch.tensor([1]))
    assert shares[0, code - 2] > 0


@pytest.mark.parametrize(
    ("tune", "moved", "still"),
    [
        ("top", "encoder.layer.1.output.dense.weight", "encoder.layer.0.output.dense.weight"),
        ("all", "embeddings.word_embeddings.weight", None),
        ("lora", "encoder.layer.0.output.dense.weight", "embeddings.word_embeddings.weight"),
    ],
)
def test_only_the_tuned_weights_change(
    data: TrainingData, plan: Plan, tune: str, moved: str, still: str | None
) -> None:
    before = fresh(data, plan).encoder.state_dict()

    network, *_ = fit(data, replace(plan, tune=tune, recipe=Recipe(epochs=1)), lambda _: None)

    assert isinstance(network, TextModel)
    after = network.encoder.state_dict()
    assert after.keys() == before.keys()  # no LoRA weights are left
    assert not torch.equal(after[moved], before[moved])
    assert still is None or torch.equal(after[still], before[still])


def test_merging_lora_changes_no_output(data: TrainingData, plan: Plan) -> None:
    network = fresh(data, plan)
    choose(network, "lora")
    with torch.no_grad():
        for name, weights in network.encoder.named_parameters():
            if "lora_" in name:
                weights.normal_(std=0.1)
    network.train(False)
    ids = torch.tensor([[2, 5, 6, 3]])
    apart = network.encoder(input_ids=ids).last_hidden_state

    merge(network)

    joined = network.encoder(input_ids=ids).last_hidden_state
    assert joined.detach() == pytest.approx(apart.detach(), abs=1e-4)


def test_the_same_seed_gives_the_same_weights(data: TrainingData, plan: Plan) -> None:
    short = replace(plan, recipe=Recipe(epochs=1))

    networks = [fit(data, short, lambda _: None).network for _ in range(2)]

    one, other = (network.state_dict() for network in networks)  # type: ignore[attr-defined]
    assert all(torch.equal(one[name], other[name]) for name in one)


def weights(network: Any) -> dict[str, bytes]:
    return {name: p.detach().numpy().tobytes() for name, p in network.named_parameters()}


@pytest.mark.parametrize("tune", ["all", "lora"])
def test_a_resumed_training_equals_an_uninterrupted_one(
    data: TrainingData, plan: Plan, tmp_path: Path, tune: str
) -> None:
    plan = replace(plan, recipe=Recipe(epochs=3, learning_rate=5e-3), tune=tune)
    whole = fit(data, plan, lambda _: None).network

    def break_off(progress: Progress) -> None:
        if progress.validation and progress.epoch == 2:
            raise KeyboardInterrupt

    broken = replace(plan, checkpoints=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        fit(data, broken, break_off)
    heard: list[Progress] = []
    again = fit(data, broken, heard.append).network

    assert {progress.epoch for progress in heard if progress.phase == "training"} == {3}
    assert weights(again) == weights(whole)


def test_a_checkpoint_of_another_log_is_refused(
    data: TrainingData, plan: Plan, tmp_path: Path
) -> None:
    plan = replace(plan, recipe=Recipe(epochs=1), checkpoints=tmp_path)
    fit(data, plan, lambda _: None)

    with pytest.raises(DataError, match=r"bert\.pt: belongs to a training with another log;"):
        fit(data._replace(fingerprint="other"), plan, lambda _: None)


def test_a_positive_label_weighs_the_root_of_its_rarity_up_to_ten() -> None:
    intents = np.zeros((1_000, 4), dtype=np.int8)
    intents[:200, 0] = 1  # √(800 / 200) = 2
    intents[:1, 1] = 1  # √999 > 10
    intents[:, 2] = 1  # never below 1
    intents[:, 3] = CENSORED

    weights = yes_weights(Labels(np.zeros(1_000, dtype=np.int32), intents))

    assert weights.tolist() == [2.0, 10.0, 1.0, 1.0]


def test_items_without_any_text_are_refused(data: TrainingData, plan: Plan) -> None:
    with pytest.raises(DataError, match="give titles with --items"):
        fit(data._replace(texts=("",) * len(data.texts)), plan, lambda _: None)


def test_the_network_records_its_encoder(data: TrainingData, plan: Plan) -> None:
    network = fresh(data, plan)

    assert network.config.source["name"] == "bert"
    assert len(network.config.source["sha256"]) == 64


def test_an_untrained_category_head_points_to_its_items(data: TrainingData, plan: Plan) -> None:
    network = fresh(data, plan)

    middle = network.item_vectors[2:6].sum(0)  # the lamps, first in order of ids
    weights = network.category.weight[0]
    assert torch.nn.functional.cosine_similarity(weights, middle, dim=0) > 0.999


def test_an_epoch_is_capped_at_its_largest_size(
    data: TrainingData, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_text, "EPOCH_EVENTS", 64)
    heard: list[Progress] = []

    fit(data, plan, heard.append)

    steps = [p for p in heard if p.phase == "training" and p.validation is None]
    assert len(steps) == 2 * 64 / 32
