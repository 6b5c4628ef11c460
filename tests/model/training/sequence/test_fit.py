import itertools
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from model.artifact import calibration_fit
from model.config import ArtifactConfig
from model.data.dataset import Labels
from model.data.log import EventLog
from model.errors import DataError
from model.evaluation.metrics import intent_figures, item_figures, recall_at
from model.networks.sequence import SequenceModel
from model.synthetic.shop import Shop
from model.training.plan import Plan, Progress, Recipe
from model.training.results import Validation
from model.training.sequence.co_occurrence import count
from model.training.sequence.fit import Run, build, fit
from model.training.sequence.trainer import Trainer
from model.training.sequence.validation import predict, validate
from model.training.training_data import TrainingData, read
from model.training.windows import Batches

pytestmark = pytest.mark.timeout(400)  # libraries to load and a model to train, one core shared

START_MS = 1_790_000_000_000
HORIZON_S = 120  # visits last minutes: predict what shoppers are about to do, not whether they stay


class Shopping(NamedTuple):
    data: TrainingData
    plan: Plan

    def train(self, recipe: Recipe) -> tuple[SequenceModel, list[Progress]]:
        said: list[Progress] = []
        plan = replace(self.plan, recipe=recipe, refit=False)
        network, *_ = Run(self.data, plan, said.append).search()
        return network, [progress for progress in said if progress.epoch > 0]

    @property
    def held_out(self) -> Batches:
        return Batches(self.data.whole, self.data.held_out_labels, self.plan.config, overlap=0.9)


def validations(said: list[Progress]) -> list[Validation]:
    return [progress.validation for progress in said if progress.validation]


def shopping(folder: Path, shop: Shop, n_events: int, n_shoppers: int, width: int) -> Shopping:
    torch.set_num_threads(1)
    path = folder / "events.jsonl"
    events = itertools.islice(shop.events(n_shoppers, START_MS), n_events)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    plan = Plan(ArtifactConfig(horizon_s=HORIZON_S), Recipe(), width=width)
    return Shopping(read(EventLog.open([path]), plan, {}), plan)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Shopping:
    """Few items and a narrow network: enough for how it is trained, though not for what."""
    folder = tmp_path_factory.mktemp("small")
    return shopping(folder, Shop(3, 60, 6), n_events=2_000, n_shoppers=60, width=16)


def weights(model: Any) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in model.state_dict().values()]


def test_it_learns_the_patterns_of_the_synthetic_shop(tmp_path: Path) -> None:
    shop = shopping(tmp_path, Shop(3), n_events=30_000, n_shoppers=1_000, width=32)
    model, rounds = shop.train(Recipe(epochs=4, seed=1, learning_rate=4e-3))
    said = predict(model, shop.held_out, most=1 << 30, seed=0)

    # A category holds 600 / 24 = 25 items, and nine views in ten stay within the category. A model
    # that knows only the category has the next item among its 20 in 0.9 · 20/25 = 72 % of views;
    # popularity spreads its 20 over all 600. A network that misses the category stays below half.
    by_count = np.argsort(-shop.data.counts)[:20]
    next_items = shop.data.held_out_labels.next_items
    popularity = float(np.isin(next_items[next_items != -2], by_count).mean())
    recall = recall_at(said.ranks, 20)
    assert recall > 0.72
    assert recall > 5 * popularity
    best = max(found.recall for found in validations(rounds))
    assert best == pytest.approx(recall, abs=0.03)  # agrees with the validation sample

    # Users who return to an item put it into the cart, and carts of eager categories are bought.
    first, second = halves(said.intents)
    rates = [0.5, 0.5]
    fitted = calibration_fit.fit(
        shop.plan.config.intents, said.intent_logits[first], said.intents[first], rates
    )
    chances = fitted.apply(said.intent_logits[second])
    cart, buy = (intent_figures(said.intents[second, a], chances[:, a]) for a in (0, 1))
    assert cart["auc"] is not None and cart["auc"] > 0.55
    assert buy["auc"] is not None and buy["auc"] > 0.63
    for figures in (cart, buy):
        assert figures["ece"] is not None and figures["ece"] < 0.08


def halves(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    even = np.arange(len(labels)) % 2 == 0
    return even, ~even


def test_equal_seeds_give_equal_weights_and_others_differ(small: Shopping) -> None:
    model, _ = small.train(Recipe(epochs=1, seed=5))
    again, _ = small.train(Recipe(epochs=1, seed=5))
    other, _ = small.train(Recipe(epochs=1, seed=6))

    assert weights(model) == weights(again)
    assert weights(model) != weights(other)


def test_it_ends_with_the_weights_of_the_best_round(small: Shopping) -> None:
    """They are those of a training that is over by then."""
    recipe = Recipe(
        epochs=20,
        learning_rate=0.05,
        average_decay=0.5,
        round_steps=(1, 2_000),  # an epoch
        least_gain=0.0,
        patience=9,
    )
    model, said = small.train(recipe)

    rounds = [progress for progress in said if progress.validation]
    best = max(rounds, key=lambda found: found.validation.total if found.validation else 0)
    assert best.epoch < rounds[-1].epoch
    ended, _ = small.train(replace(recipe, epochs=round(best.epoch)))
    assert weights(model) == weights(ended)
    assert not model.training


def test_it_stops_after_rounds_without_improvement(small: Shopping) -> None:
    _, said = small.train(Recipe(learning_rate=0.0, round_steps=(4, 4), patience=2))

    assert len(validations(said)) == 1 + 2


def test_it_stops_when_the_minutes_are_over(small: Shopping) -> None:
    run = Run(small.data, small.plan, lambda _: None)
    objective = run._objective(small.data.learnt)
    said: list[Progress] = []
    over = replace(small.plan, recipe=Recipe(minutes=1e-9))

    run._trainer("search", objective, run.learnt, said.append, over).search(small.held_out)

    assert [p.epoch for p in said] == [0]  # no step, one validation
    assert said[0].done >= 1


def test_no_time_to_train_is_said_before_the_first_step(small: Shopping) -> None:
    with pytest.raises(DataError, match=r"^counting took \d+ s, which leaves no time"):
        small.train(Recipe(minutes=1e-9))


def test_the_refit_is_left_out_when_there_is_no_time_for_it(
    small: Shopping, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A network that was trained for fewer steps than the search found best would be worse."""
    plan = replace(small.plan, recipe=Recipe(epochs=2))
    monkeypatch.setattr(Run, "has_time_to_repeat", lambda _: False)
    left_out = fit(small.data, plan, lambda _: None)
    monkeypatch.setattr(Run, "has_time_to_repeat", lambda _: True)
    monkeypatch.setattr(Trainer, "repeat", lambda *_: 0)  # its time was over
    broken_off = fit(small.data, plan, lambda _: None)
    kept = fit(small.data, replace(plan, refit=False), lambda _: None)

    for fitted in (left_out, broken_off):
        assert weights(fitted.network) == weights(kept.network)
        assert (fitted.refitted, fitted.made["refit_skipped"]) == (False, True)
    assert "refit_skipped" not in kept.made


def test_each_phase_is_named(small: Shopping) -> None:
    said: list[Progress] = []
    fit(small.data, replace(small.plan, recipe=Recipe(epochs=1)), said.append)

    phases = [phase for phase, _ in itertools.groupby(progress.phase for progress in said)]
    assert phases == ["counting", "training", "judging", "counting", "training"]
    done = [progress.done for progress in said]
    assert done == sorted(done)


def test_a_resumed_training_equals_an_uninterrupted_one(small: Shopping, tmp_path: Path) -> None:
    # The newest round is always the best: what is compared was trained after the resumption.
    recipe = Recipe(epochs=8, round_steps=(6, 6), least_gain=-1.0)
    plan = replace(small.plan, recipe=recipe, refit=False)  # the search itself
    whole = fit(small.data, plan, lambda _: None).network

    broken = replace(plan, checkpoints=tmp_path)
    left = 3

    def break_off(progress: Progress) -> None:
        nonlocal left
        left -= progress.validation is not None
        if left == 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(small.data, broken, break_off)
    again = fit(small.data, broken, lambda _: None).network

    assert weights(again) == weights(whole)


def test_a_checkpoint_of_another_log_is_refused(small: Shopping, tmp_path: Path) -> None:
    plan = replace(small.plan, recipe=Recipe(epochs=1), checkpoints=tmp_path, refit=False)
    fit(small.data, plan, lambda _: None)

    with pytest.raises(DataError, match=r"search\.pt: belongs to a training with another log;"):
        fit(small.data._replace(fingerprint="other"), plan, lambda _: None)


def test_the_refit_also_trains_on_the_held_out_events(small: Shopping) -> None:
    recipe = Recipe(epochs=2)
    kept = fit(small.data, replace(small.plan, recipe=recipe, refit=False), lambda _: None)
    refit = fit(small.data, replace(small.plan, recipe=recipe), lambda _: None)

    assert weights(kept.network) != weights(refit.network)
    assert (
        kept.predictions.ranks == refit.predictions.ranks
    ).all()  # the reported figures are from the search, on unseen events


def test_progress_goes_from_0_to_1(small: Shopping) -> None:
    _, said = small.train(Recipe(epochs=40))

    done = [progress.done for progress in said]
    assert done == sorted(done)
    assert 0 < done[0] < 0.2
    assert done[-1] == 1


def test_a_log_without_intents_and_categories_trains(tmp_path: Path) -> None:
    path = tmp_path / "plain.csv"
    rows = [f"u{k % 7},i{k % 11},view,{START_MS + k}" for k in range(300)]
    path.write_text("user_id,item_id,action,ts\n" + "\n".join(rows))
    plan = Plan(ArtifactConfig(actions=("view",), intents=()), Recipe(epochs=1))
    plain = Shopping(read(EventLog.open([path]), plan, {}), plan)

    model, _ = plain.train(plan.recipe)

    assert plain.data.learnt_labels.intents.shape[1] == 0
    assert len(plain.data.catalogue.categories) == 0
    assert validate(model, plain.held_out, seed=0).recall == 1  # of 11 items


def test_users_with_one_event_train_the_intents_only(tmp_path: Path) -> None:
    path = tmp_path / "once.csv"
    rows = [
        f"u{k},i{k % 11},click,{START_MS + 1000 * k}" for k in range(2_000)
    ]  # all other batches are empty
    rows += [f"v,i{k},buy,{START_MS + 1000 * k}" for k in range(11)]
    path.write_text("user_id,item_id,action,ts\n" + "\n".join(rows))
    plan = Plan(ArtifactConfig(horizon_s=10), Recipe(epochs=1))
    once = Shopping(read(EventLog.open([path]), plan, {}), plan)

    _, said = once.train(plan.recipe)

    assert all(np.isfinite(progress.loss) for progress in said)


def test_unknown_items_count_as_misses(small: Shopping) -> None:
    data = small.data
    unknown = Labels(
        np.where(data.held_out_labels.next_items >= 0, -1, -2).astype(np.int32),
        data.held_out_labels.intents,
    )
    model = build(data, small.plan, count(data.learnt, len(data.catalogue)))

    said = predict(model, Batches(data.whole, unknown, small.plan.config), 1 << 30, 0)

    assert item_figures(said.ranks)["n"] > 0
    assert not said.ranks.any()
