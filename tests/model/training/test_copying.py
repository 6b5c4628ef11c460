"""The fit of the copy curve: its probabilities come true, those of new items too."""

import numpy as np
import numpy.typing as npt

from model.artifact.copying import CopyCurve, candidates
from model.catalogue import Catalogue
from model.config import ArtifactConfig
from model.data.dataset import Histories, Period, label
from model.training.copying import fit_curve
from model.training.training_data import TrainingData

ITEMS = 400
CONFIG = ArtifactConfig(actions=("click",), intents=(), max_length=10)
LENGTH = 10
START_MS = 1_000_000  # of the held-out period


def a_log(
    users: int, first_item: int, begins_ms: int, again: float, seed: int
) -> npt.NDArray[np.int64]:
    """Items (users, LENGTH): with the chance ``again`` a user returns to the newest item."""
    draw = np.random.default_rng(seed)
    items = draw.integers(first_item, first_item + ITEMS // 2, (users, LENGTH))
    for place in range(1, LENGTH):
        back = draw.random(users) < again
        items[back, place] = items[back, place - 1]
    return items


def training_data(again: float, again_new: float) -> TrainingData:
    """Users of the older items before the held-out period, and of the newer ones in it."""
    old, new = a_log(600, 0, 0, again, 1), a_log(600, ITEMS // 2, START_MS, again_new, 2)
    items = np.concatenate([old, new])
    begins = np.repeat([0, START_MS], 600)
    times_ms = begins[:, None] + np.arange(LENGTH) * 1_000
    whole = Histories(
        items.ravel().astype(np.int32),
        np.zeros(items.size, dtype=np.int8),
        times_ms.ravel(),
        np.arange(len(items) + 1, dtype=np.int64) * LENGTH,
    )
    names = [f"i{index:03}" for index in range(ITEMS)]
    held_out, ever = Period(START_MS, 2 * START_MS), Period(-1, 2 * START_MS)
    learnt = whole.until(START_MS)
    return TrainingData(
        Catalogue.from_names(names, [None] * ITEMS, [1] * ITEMS),
        held_out,
        learnt,
        label(learnt, Period(-1, START_MS), CONFIG),
        whole,
        label(whole, held_out, CONFIG),
        label(whole, ever, CONFIG),
        ("",) * ITEMS,
        ((),) * ITEMS,
        "",
    )


def chance_of_the_newest(curve: CopyCurve, new: bool) -> float:
    """What the curve gives the newest of five different items, all of them new or none."""
    found = candidates(
        np.arange(5), np.zeros(5, np.int64), np.arange(5) * 1_000, np.array([5]), np.array([4_000])
    )
    weights = curve.weights(found.cells) * (curve.new if new else 1.0)
    return float(weights[0] / (1 + weights.sum()))


def test_the_curve_finds_how_often_users_return_to_the_newest_item() -> None:
    curve = fit_curve(training_data(0.3, 0.3), CONFIG, seed=0)

    # Planted: 0.3, for old and new items alike; 10,800 windows leave about 0.005 of noise.
    assert abs(chance_of_the_newest(curve, new=False) - 0.3) < 0.05
    assert abs(chance_of_the_newest(curve, new=True) - 0.3) < 0.05


def test_new_items_have_a_factor_of_their_own() -> None:
    curve = fit_curve(training_data(0.1, 0.5), CONFIG, seed=0)

    # The curve is fitted on both halves; only the factor can tell that new items come back more.
    assert curve.new > 1.2
    assert chance_of_the_newest(curve, new=True) > chance_of_the_newest(curve, new=False)


def test_a_log_without_new_items_leaves_the_factor_at_one() -> None:
    data = training_data(0.3, 0.3)
    known = data.held_out_labels._replace(
        next_items=np.full_like(data.held_out_labels.next_items, -2)
    )

    assert abs(fit_curve(data._replace(held_out_labels=known), CONFIG, seed=0).new - 1) < 1e-3


def test_a_log_in_which_nobody_acts_twice_has_a_flat_curve() -> None:
    data = training_data(0.3, 0.3)
    nothing = data.whole_labels._replace(next_items=np.full_like(data.whole_labels.next_items, -2))
    data = data._replace(whole_labels=nothing, held_out_labels=nothing)

    curve = fit_curve(data, CONFIG, seed=0)

    assert {factor for table in curve.tables for factor in table} == {1.0}
    assert abs(curve.new - 1) < 1e-3
