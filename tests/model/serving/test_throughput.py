"""The service curve and the batch cap chosen from it, on a simulated clock."""

from collections.abc import Sequence as Batch

import pytest

from model.scorer import ANYTHING, ModelInfo, Score
from model.sequence import Sequence
from model.serving import Service, choose_cap, measure_service_curve
from model.serving.throughput import SIZES


class SlowScorer:
    """Takes a + b·B seconds on its own clock to score B users."""

    info = ModelInfo("slow", "0" * 12, "cpu", 1)
    vocabulary = ANYTHING

    def __init__(self, a: float, b: float) -> None:
        self.a, self.b, self.now = a, b, 0.0

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        self.now += self.a + self.b * len(sequences)
        return []

    def sample(self, count: int) -> list[Sequence]:
        return [Sequence((), (), (), 0)] * count

    def clock(self) -> float:
        return self.now


def test_the_curve_has_the_time_of_each_batch() -> None:
    scorer = SlowScorer(a=0.010, b=0.001)
    curve = measure_service_curve(scorer, sizes=(1, 8), clock=scorer.clock)

    assert [service.users for service in curve] == [1, 8]
    assert curve[0].seconds == pytest.approx(0.010 + 1 * 0.001)
    assert curve[1].seconds == pytest.approx(0.010 + 8 * 0.001)


def test_measuring_a_slow_model_stops_early() -> None:
    scorer = SlowScorer(a=1.0, b=0.0)
    curve = measure_service_curve(scorer, sizes=(1, 2, 4, 8), clock=scorer.clock)

    assert [service.users for service in curve] == [1, 2]


@pytest.mark.parametrize("lucky", [0, 3, 6, 9])
def test_one_size_that_was_measured_faster_hardly_moves_the_cap(lucky: int) -> None:
    """By 6 %, as happens: by the measured times alone, 512 would be the only one near the best."""
    curve = [Service(n, (1.6 + n) * (0.94 if at == lucky else 1)) for at, n in enumerate(SIZES)]

    # 1 + 1.6 / n is within 5 % of the least, 1 + 1.6 / 512, from n = 30 on.
    assert choose_cap(curve) in (16, 32)


class BusyScorer(SlowScorer):
    """Takes five times as long while something else has the machine: its first twenty calls."""

    calls = 0

    def score(self, sequences: Batch[Sequence]) -> list[Score]:
        self.calls += 1
        before = self.now
        super().score(sequences)
        self.now += 4 * (self.now - before) if self.calls <= 20 else 0
        return []


def test_what_else_the_machine_does_at_first_does_not_change_the_cap() -> None:
    """Measured one after the other, the small sizes would be the slow ones."""
    sizes = (1, 2, 4, 8, 16, 32)
    quiet, busy = SlowScorer(a=0.0004, b=0.001), BusyScorer(a=0.0004, b=0.001)

    alone = measure_service_curve(quiet, sizes, quiet.clock)
    disturbed = measure_service_curve(busy, sizes, busy.clock)

    # (0.4 + 1 · 8) / 8 is 1.05 per user, within 5 % of the best, (0.4 + 1 · 32) / 32 = 1.0125.
    assert choose_cap(alone) == choose_cap(disturbed) == 8
    for one, other in zip(alone, disturbed, strict=True):
        assert one.seconds == pytest.approx(other.seconds)


@pytest.mark.parametrize(
    ("curve", "cap"),
    [
        ([(1, 1.0)], 1),
        ([(1, 1.0), (2, 1.0), (4, 1.0)], 4),  # a fixed cost: the larger the better
        ([(1, 1.0), (2, 2.0), (4, 4.0)], 1),  # a cost per user: nothing to gain
        ([(1, 1.10), (2, 2.08), (4, 4.0)], 2),  # 1.04 is within 5 % of 1.00, 1.10 is not
        ([(32, 3.2), (64, 5.0), (128, 20.0)], 64),  # past the cache it gets worse again
    ],
)
def test_cap_is_the_smallest_batch_near_the_best(curve: list[tuple[int, float]], cap: int) -> None:
    assert choose_cap([Service(*service) for service in curve]) == cap
