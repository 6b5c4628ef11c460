"""The service curve: how long a batch takes, and the batch size beyond which none gains."""

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
    """A scorer that can make up sequences it would give a full answer to."""

    def sample(self, count: int) -> list[UserSequence]:
        """As many sequences, always the same."""
        ...


class Service(NamedTuple):
    """What one batch of ``users`` costs."""

    users: int
    seconds: float


def measure_service_curve(
    scorer: Measurable,
    sizes: Sequence[int] = SIZES,
    clock: Callable[[], float] = time.perf_counter,
) -> list[Service]:
    """Time each batch size, best of three; warms the scorer up on the way.

    Ends early, but never before the first two sizes, when two seconds are spent: a start must
    not take long where the model is large.
    """
    curve: list[Service] = []
    started = clock()
    for size in sizes:
        if len(curve) >= 2 and clock() - started > _BUDGET_S:
            break
        curve.append(Service(size, _best_of(scorer, scorer.sample(size), clock)))
    return curve


def choose_cap(curve: Sequence[Service]) -> int:
    """The smallest batch within 5 % of the least time per user: larger ones only wait longer."""
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
