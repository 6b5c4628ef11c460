"""`--minutes`: what is left of the time, and how much there is to judge in it."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from model.config import ArtifactConfig
from model.data.dataset import NO_NEXT
from model.data.log import EventLog
from model.errors import DataError
from model.features import Padded
from model.training.plan import Plan, Recipe
from model.training.prediction import predict_events
from model.training.results import Predictions
from model.training.run import run
from model.training.sequence.judged import ALL, LEAST, Judged
from model.training.time_limit import TimeLimit
from model.training.training_data import read

PLAN = Plan(ArtifactConfig(), Recipe())


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s

    def limit(self, minutes: float, processor_s: float = 1e9) -> TimeLimit:
        """A limit that begins now, on a machine that gave the process so much processor time."""
        return TimeLimit(self.now_s, minutes, self, lambda: processor_s)


def test_what_is_left_counts_from_the_beginning() -> None:
    clock = Clock()
    limit = clock.limit(2.0)
    clock.now_s += 30

    assert (limit.spent_s(), limit.left_s()) == (30, 120 - 30)


def test_finishing_is_kept_back_from_what_is_left_to_fit() -> None:
    clock = Clock()
    limit = clock.limit(10.0)
    clock.now_s += 60

    # Nine minutes are left, of which finishing takes 20 s, and 10 s for 100,000 items.
    assert limit.left_to_fit(PLAN, 100_000).recipe.minutes == pytest.approx((540 - 30) / 60)


def test_on_a_busy_machine_more_is_kept_back() -> None:
    """Reading took 60 s for 15 s of processor time: all else will take four times as long, too."""
    clock = Clock()
    limit = clock.limit(10.0, processor_s=15.0)
    clock.now_s += 60

    found = limit.left_to_fit(PLAN, 100_000).recipe.minutes
    assert found == pytest.approx((540 - 4 * 30) / 60)


def test_finishing_takes_a_third_of_a_short_time() -> None:
    clock = Clock()
    limit = clock.limit(0.5)
    clock.now_s += 15

    assert limit.left_to_fit(PLAN, 10).recipe.minutes == pytest.approx(15 * 2 / 3 / 60)


def test_without_minutes_nothing_is_limited() -> None:
    limit = TimeLimit.of(None)

    assert limit.left_s() == math.inf
    assert limit.left_to_fit(PLAN, 10) is PLAN


def test_judging_stops_with_its_batch_once_the_time_is_over(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    rows = [f"u{k % 5},i{k % 7},click,{1_790_000_000_000 + k * 1000}" for k in range(60)]
    path.write_text("user_id,item_id,action,ts\n" + "\n".join(rows) + "\n")
    data = read(EventLog.open([path]), PLAN, {})
    events = np.arange(40)

    def answer(windows: Padded, targets: Tensor) -> tuple[Tensor, Tensor]:
        return torch.ones(len(targets), dtype=torch.int64), torch.zeros(len(targets), 2)

    def judged(is_over: bool) -> Predictions:
        return predict_events(data, PLAN.config, events, 8, answer, lambda: is_over)

    assert len(judged(False).intents) == len(judged(False).intent_logits) == 40
    assert len(judged(True).intents) == len(judged(True).intent_logits) == 8
    followed = data.held_out_labels.next_items[events[:8]] != NO_NEXT
    assert len(judged(True).ranks) == followed.sum()


def test_a_log_that_takes_all_the_time_to_read_is_refused_before_training(tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    rows = [f"u{k % 5},i{k % 7},click,{1_790_000_000_000 + k * 1000}" for k in range(60)]
    path.write_text("user_id,item_id,action,ts\n" + "\n".join(rows) + "\n")
    clock = Clock()
    limit = clock.limit(1.0)
    clock.now_s += 61

    with pytest.raises(DataError) as refused:
        run(EventLog.open([path]), PLAN, tmp_path / "out", limit=limit)

    assert str(refused.value) == (
        "reading the log took 61 s, which leaves no time to train; give more --minutes"
    )
    assert list(tmp_path.iterdir()) == [path]


def test_with_time_enough_all_windows_are_judged() -> None:
    assert ALL.within(math.inf, 0.01, 1_000_000) == ALL
    # 7,000 windows a round in 5 % of the time, and 86,000 in the end in 15 %.
    assert ALL.within(86_000 * 0.001 / 0.15 + 1e-6, 0.001, 1_000_000) == ALL
    # Of a short log there are fewer, and they take as long as they are: eight times all of them.
    assert ALL.within(8 * 400 * 0.1 / 0.15 + 1e-6, 0.1, 400).evaluated == ALL.evaluated
    assert ALL.within(8 * 400 * 0.1 / 0.15 - 1.0, 0.1, 400).evaluated < 400


def test_with_little_time_fewer_windows_are_judged() -> None:
    """At 10 ms each, in 100 s: 500 in each round, and 1,500 in the end."""
    found = ALL.within(100.0, 0.01, 1_000_000)

    assert found == Judged(
        weighed=int(3_000 * 500 / 7_000),
        compared=int(4_000 * 500 / 7_000),
        fitted=int(8_000 * 1_500 / 86_000),
        evaluated=int(50_000 * 1_500 / 86_000),
    )
    assert set(ALL.within(1.0, 1.0, 1_000_000)) == {LEAST}
    assert ALL.within(100.0, 0.01, 2_000).weighed == int(2_000 * 500 / 4_000)
