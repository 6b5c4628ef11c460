"""Private training: user gradients are clipped, and ε matches the accountant of opacus."""

import itertools
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import typer
from typer.testing import CliRunner, Result

from model.artifact.artifact import CALIBRATION, CONTEXTS, METRICS, Artifact
from model.artifact.calibration import Calibration
from model.artifact.day_parts import PARTS, DayPartCounts
from model.cli import commands
from model.config import ArtifactConfig
from model.data.dataset import Histories, Labels
from model.data.log import EventLog, Item
from model.errors import DataError, ModelError
from model.features import CENSORED
from model.networks.sequence import SequenceModel
from model.serving.onnx import OnnxScorer
from model.synthetic.shop import Shop
from model.training.noisy_counts import BOUND, acted_on, came_true, noisy_counts
from model.training.plan import Plan, Privacy, Recipe
from model.training.private.budget import ORDERS, Budget, spent
from model.training.private.fit import Lots, Training, add_clipped, nothing_counted
from model.training.sequence.fit import build
from model.training.training_data import TrainingData, read
from model.training.windows import Batch, Batches
from stream.commands.read_sequence import read_sequence

pytest.importorskip("opacus")
pytestmark = pytest.mark.timeout(400)  # libraries to load and a model to train, one core shared

START_MS = 1_790_000_000_000
CLIP = 0.01  # shorter than any gradient here
USERS = 250
ITEMS = {f"i{n:05d}": Item(f"i{n:05d}", f"c{n % 4}", None) for n in range(120)}


def command(*words: object) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    commands(app, read_sequence)
    return CliRunner().invoke(app, [str(word) for word in words])


class Shopping(NamedTuple):
    path: Path
    log: EventLog
    data: TrainingData
    plan: Plan

    @property
    def lots(self) -> Lots:
        batches = Batches(self.data.whole, self.data.whole_labels, self.plan.config)
        return Lots(batches, self.data.whole.offsets)

    def training(self, noise: float) -> Training:
        network = build(self.data, self.plan, nothing_counted(len(ITEMS)))
        network.rules.requires_grad_(requires_grad=False)
        budget = Budget(self.lots.users, 1e-4, 0.25, 4, 1.0, noise)
        privacy, rng = Privacy(8.0, clip=CLIP), np.random.default_rng(1)
        return Training(network, privacy, budget, self.plan.recipe, rng)


@pytest.fixture(scope="module")
def shopping(tmp_path_factory: pytest.TempPathFactory) -> Shopping:
    torch.set_num_threads(1)
    path = tmp_path_factory.mktemp("private") / "events.jsonl"
    events = itertools.islice(Shop(3, 120, 6).events(USERS, START_MS), 4_500)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    plan = Plan(ArtifactConfig(), Recipe(epochs=1), width=8, dropout=0.0, privacy=Privacy(8.0))
    log = EventLog.open([path])
    return Shopping(path, log, read(log, plan, ITEMS), plan)


@pytest.fixture(scope="module")
def artifact(shopping: Shopping, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    folder = tmp_path_factory.mktemp("artifacts")
    listed = folder / "items.jsonl"
    rows = ({"item_id": item.item_id, "category": item.category} for item in ITEMS.values())
    listed.write_text("".join(json.dumps(row) + "\n" for row in rows))
    words = ("train", shopping.path, "--out", folder / "private", "--items", listed)
    result = command(*words, "--epochs", 1, "--dim", 8, "--dp-epsilon", 8)
    assert result.exit_code == 0, result.output
    artifact = Artifact.open(folder / "private")
    told = artifact.manifest.made["privacy"]
    assert f"ε {told['epsilon']}, δ {told['delta']:.1e} for each of" in result.stdout
    return artifact


def length(gradients: list[torch.Tensor]) -> float:
    return float(torch.cat([gradient.flatten() for gradient in gradients]).norm())


def test_one_user_changes_the_sum_of_a_lot_by_at_most_the_clip(shopping: Shopping) -> None:
    training = shopping.training(noise=0.0)
    lot = list(shopping.lots.draw(1.0, np.random.default_rng(0)))[:8]

    alone = [length(training.total([window])) for window in lot]
    assert alone == pytest.approx([CLIP] * 8, rel=1e-4)  # each gradient is longer than the clip

    def without(left_out: int) -> list[torch.Tensor]:
        training._rng = np.random.default_rng(2)
        rest = [window for place, window in enumerate(lot) if place != left_out]
        return training.total([*rest, lot[left_out]])  # last, so that the others draw the same

    for place in (0, 7):
        whole = without(place)
        training._rng = np.random.default_rng(2)
        rest = training.total([w for other, w in enumerate(lot) if other != place])
        moved = length([a - b for a, b in zip(whole, rest, strict=True)])
        assert 0 < moved <= CLIP * (1 + 1e-4)


def test_a_gradient_below_the_clip_is_unchanged() -> None:
    total = [torch.zeros(2), torch.zeros(1)]
    add_clipped(total, [torch.tensor([3.0, 0.0]), torch.tensor([4.0])], clip=10.0)
    assert [part.tolist() for part in total] == [[3.0, 0.0], [4.0]]

    add_clipped(total, [torch.tensor([0.0, 30.0]), torch.tensor([40.0])], clip=10.0)
    assert total[0].tolist() == pytest.approx([3.0, 6.0])  # of length 50, clipped to 10
    assert total[1].tolist() == pytest.approx([4.0 + 8.0])


def test_a_non_finite_gradient_adds_nothing() -> None:
    total = [torch.ones(2)]
    add_clipped(total, [torch.tensor([1.0, torch.nan])], clip=1.0)

    assert total[0].tolist() == [1.0, 1.0]


def test_users_are_sampled_independently_with_one_window_each(shopping: Shopping) -> None:
    lots, rng = shopping.lots, np.random.default_rng(3)
    sizes = [len(list(lots.draw(0.25, rng))) for _ in range(40)]
    expected = lots.users / 4
    spread = (lots.users * 0.25 * 0.75 / 40) ** 0.5  # of the mean of 40 lots

    assert len(list(lots.draw(1.0, rng))) == lots.users
    assert len(set(sizes)) > 10
    assert np.mean(sizes) == pytest.approx(expected, abs=4 * spread)
    assert all(window.inputs.items.shape[0] == 1 for window in lots.draw(0.1, rng))


def test_the_noise_of_a_step_matches_the_budget(shopping: Shopping) -> None:
    training = shopping.training(noise=3.0)
    empty: list[Batch] = []
    training.step(empty)

    expected = 3.0 * CLIP / (0.25 * shopping.lots.users)
    weights = [w for w in training._weights if w.dim() == 2 and len(w) > 20]
    for weight in weights:
        assert weight.grad is not None
        assert float(weight.grad[1:].std()) == pytest.approx(expected, rel=0.2)
    padding = training._objective.network.item.weight[0]
    assert padding.tolist() == [0.0] * 8  # padding gets no noise


def test_epsilon_is_that_of_the_accountant_of_opacus() -> None:
    from opacus.accountants import RDPAccountant

    privacy = Privacy(4.0, lot=100)
    budget = Budget.of(privacy, users=1_000, epochs=3)
    accountant = RDPAccountant()
    accountant.step(noise_multiplier=budget.counts_noise, sample_rate=1.0)
    for _ in range(budget.steps):
        accountant.step(noise_multiplier=budget.noise, sample_rate=budget.sample_rate)
    told = accountant.get_epsilon(budget.delta, alphas=list(ORDERS))

    assert (budget.sample_rate, budget.steps, budget.delta) == (0.1, 30, 1e-4)
    assert spent(budget.spendings, budget.delta) == pytest.approx(told, abs=1e-9)
    assert 3.97 < told <= 4.0  # at most the target, and nearly all of it
    said = budget.statement(privacy)
    assert told <= said["epsilon"] <= told + 1e-4


def test_more_steps_and_less_epsilon_take_more_noise() -> None:
    budget = Budget.of(Privacy(4.0, lot=100), users=1_000, epochs=3)
    longer = Budget.of(Privacy(4.0, lot=100), users=1_000, epochs=9)
    tighter = Budget.of(Privacy(1.0, lot=100), users=1_000, epochs=3)

    assert (longer.steps, longer.counts_noise) == (90, budget.counts_noise)
    assert longer.noise > budget.noise
    assert tighter.noise > budget.noise
    assert spent(budget.spendings[:1], budget.delta) == pytest.approx(0.4, abs=0.01)  # a tenth


def test_too_few_users_for_privacy_are_refused() -> None:
    with pytest.raises(DataError, match="has 99 users to learn from, privacy needs at least 100"):
        Budget.of(Privacy(4.0), users=99, epochs=1)


def test_no_user_adds_more_to_the_counts_than_the_bound(shopping: Shopping) -> None:
    data = shopping.data
    end_ms = data.held_out.end_ms
    acted = acted_on(data.whole, len(ITEMS), end_ms).toarray()
    came = came_true(data.whole, data.whole_labels).reshape(len(acted), -1)

    assert np.linalg.norm(acted, axis=1).max() == pytest.approx(1)
    assert np.linalg.norm(came, axis=1).max() <= 1 + 1e-9
    assert np.hypot(np.linalg.norm(acted, axis=1), np.linalg.norm(came, axis=1)).max() <= BOUND


def test_without_noise_the_counts_are_exact() -> None:
    both = Histories(
        np.array([0, 0, 1, 2], np.int32),
        np.zeros(4, np.int8),
        np.array([0, 0, 0, 0], np.int64),
        np.array([0, 3, 4]),
    )
    labels = Labels(np.zeros(4, np.int32), np.array([[1], [0], [CENSORED], [0]], dtype=np.int8))
    found = noisy_counts(both, labels, 3, 0, 0.0, np.random.default_rng(0))

    # The first user acted on item 0 twice and on 1 once, the second on item 2 once.
    assert found.counts / found.counts[2] == pytest.approx([2 / 5**0.5, 1 / 5**0.5, 1], abs=0.01)
    assert (found.day_parts.counts == found.day_parts.counts[0]).all()
    assert found.rates.tolist() == [0.25]  # (1/2 + 0) / 2


def test_the_manifest_states_the_privacy_guarantee(artifact: Artifact, shopping: Shopping) -> None:
    promise = artifact.manifest.made["privacy"]

    assert promise["epsilon"] <= 8.0
    assert artifact.manifest.made["seconds"] is None  # it would reveal the amount of data
    assert promise["delta"] == 1 / (10 * shopping.lots.users)
    assert promise["unit"].startswith("user: ")
    assert promise["steps"] == np.ceil(1 / promise["sample_rate"])
    again = spent(
        [
            (promise["counts_noise"], 1.0, 1),
            (promise["noise"], promise["sample_rate"], promise["steps"]),
        ],
        promise["delta"],
    )
    assert promise["epsilon"] == pytest.approx(again, abs=1e-4)


def test_the_artifact_reveals_no_single_user(artifact: Artifact) -> None:
    assert set(artifact.manifest.data) == {"from_ms", "selected_until_ms", "trained_until_ms"}
    assert artifact.read_object(METRICS) == {"held_out": {}, "learning": []}
    lines = Calibration.from_json(artifact.read_object(CALIBRATION))
    assert (lines.slopes, lines.offsets) == ((1.0, 1.0), (0.0, 0.0))


def test_the_catalogue_is_the_item_list_regardless_of_actions(
    artifact: Artifact, shopping: Shopping
) -> None:
    fewer = dict(list(ITEMS.items())[:50])
    data = read(shopping.log, shopping.plan, fewer)

    assert artifact.read_catalogue().items == tuple(ITEMS)
    assert data.catalogue.items == tuple(fewer)
    assert data.catalogue.counts.sum() == 0
    with pytest.raises(DataError, match="privacy needs the list of items"):
        read(shopping.log, shopping.plan, {})


def test_the_network_has_neither_rules_nor_balance(artifact: Artifact) -> None:
    from model.artifact.network import load_network

    network = load_network(artifact)
    assert isinstance(network, SequenceModel)

    for table in (network.shares, network.support, network.balance):
        assert float(table.float().abs().sum()) == 0
    counts = DayPartCounts.from_json(artifact.read_object(CONTEXTS), len(ITEMS)).counts
    assert counts.shape == (PARTS, len(ITEMS))
    assert artifact.read_catalogue().counts.tolist() == counts.sum(axis=0).tolist()
    assert counts.sum() > 0
    scorer = OnnxScorer(artifact)
    assert {score.quality for score in scorer.score(scorer.sample(4))} == {"full"}


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["--network", "mlp"], "mlp cannot be trained with privacy"),
        (["--from", "older"], "the model of --from may have seen the same users"),
        (["--checkpoints", "c"], "--checkpoints are not supported"),
        (["--minutes", "5"], "use --epochs"),
        (["--no-refit"], "nothing is held out"),
        ([], "a catalogue from the log would reveal the users' items"),
    ],
)
def test_options_that_break_the_guarantee_are_refused(words: list[str], reason: str) -> None:
    listed = ["--items", "items.jsonl"] if words else []
    result = command("train", "log", "--out", "o", "--dp-epsilon", "1", *listed, *words)

    assert result.exit_code == 2
    assert reason in " ".join(result.output.replace("│", "").split())


def test_without_opacus_one_line_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from model.commands.common import need_privacy

    need_privacy()
    monkeypatch.setitem(sys.modules, "opacus", None)
    with pytest.raises(ModelError, match=r"^opacus is not installed; run `make setup`"):
        need_privacy()
