"""The service curve: the time per batch size, and the smallest size with full throughput."""

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from model.scorer import Scorer
from model.sequence import Sequence as UserSequence

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SLACK = 1.05
_REPEATS = 3
_BUDGET_S = 2.0


class Measurable(Scorer, Protocol):
    """A scorer that can generate sequences with a full answer."""

    def sample(self, count: int) -> list[UserSequence]:
        """Generate ``count`` sequences, always the same."""
        ...


class Service(NamedTuple):
    """The time to score one batch of ``users``."""

    users: int
    seconds: float


def measure_service_curve(
    scorer: Measurable,
    sizes: Sequence[int] = SIZES,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Service]:
    """Time each batch size, best of three; this also warms up the scorer.

    Stops after two seconds, but not before the first two sizes, so that a large model does not
    delay the start.
    """
    curve: list[Service] = []
    started = clock()
    for size in sizes:
        if len(curve) >= 2 and clock() - started > _BUDGET_S:
            break
        curve.append(Service(size, _best_of(scorer, scorer.sample(size), clock)))
    return curve


def choose_cap(curve: Sequence[Service]) -> int:
    """The smallest batch within 5 % of the least time per user: larger ones only add latency."""
    least = min(service.seconds / service.users for service in curve)
    return min(
        service.users for service in curve if service.seconds / service.users <= least * SLACK
    )


def _best_of(
    scorer: Scorer, sequences: Sequence[UserSequence], clock: Callable[[], float]
) -> float:
    scorer.score(sequences)  # the first run of a size allocates
    spans = []
    for _ in range(_REPEATS):
        started = clock()
        scorer.score(sequences)
        spans.append(clock() - started)
    return min(spans)
