"""The service curve: the time per batch size, and the smallest size with full throughput."""

import math
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from model.scorer import Scorer
from model.sequence import Sequence as UserSequence

Floats = npt.NDArray[np.float64]

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SLACK = 1.05
_ROUNDS = 5
_WARM_UP_S = 0.5


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
    clock: Callable[[], float] | None = None,
) -> list[Service]:
    """Time each batch size, best of five; this also warms up the scorer.

    The sizes take turns: what else the machine does slows down all of them alike, where one size
    after the other would make those look slow that had bad luck. Sizes beyond those that half a
    second of warming up reaches are left out, but never the first two, so that a large model does
    not delay the start.
    """
    if clock is None:
        # A CPU engine computes in this thread, and waits for a processor do not count.
        clock = time.thread_time if scorer.info.device == "cpu" else time.perf_counter
    batches: dict[int, list[UserSequence]] = {}
    started = clock()
    for size in sizes:
        if len(batches) >= 2 and clock() - started > _WARM_UP_S:
            break
        batches[size] = scorer.sample(size)
        scorer.score(batches[size])  # the first run of a size allocates
    best = dict.fromkeys(batches, math.inf)
    for _ in range(_ROUNDS):
        for size, sequences in batches.items():
            best[size] = min(best[size], _time(scorer, sequences, clock))
    return [Service(size, seconds) for size, seconds in best.items()]


def choose_cap(curve: Sequence[Service]) -> int:
    """The smallest batch within 5 % of the least time per user: larger ones only add latency.

    Compares the times per user that a fixed cost of a batch and a cost for each user explain best,
    since those measured differ by more than 5 % from one start to the next.
    """
    users = np.array([service.users for service in curve], dtype=np.float64)
    each_s = np.array([service.seconds for service in curve]) / users
    until = int(each_s.argmin()) + 1  # past the processor's cache it gets worse again
    smooth_s = _explained(users[:until], each_s[:until])
    return curve[int((smooth_s <= smooth_s.min() * SLACK).argmax())].users


def _explained(users: Floats, each_s: Floats) -> Floats:
    """``b + a / users`` with a and b ≥ 0, by least squares of the relative errors."""
    terms = np.stack([1 / users, np.ones_like(users)], axis=1)  # (N, 2)
    costs, *_ = np.linalg.lstsq(terms / each_s[:, None], np.ones_like(users), rcond=None)
    explained: Floats = terms @ costs.clip(min=0.0)
    return explained


def _time(scorer: Scorer, sequences: Sequence[UserSequence], clock: Callable[[], float]) -> float:
    started = clock()
    scorer.score(sequences)
    return clock() - started
