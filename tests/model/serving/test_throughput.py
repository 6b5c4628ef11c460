"""The service curve and the batch cap chosen from it, on a simulated clock."""

from collections.abc import Sequence as Batch

import pytest

from model.scorer import ANYTHING, ModelInfo, Score
from model.sequence import Sequence
from model.serving import Service, choose_cap, measure_service_curve


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
