"""The privacy budget: the noise that a privacy guarantee needs, and the ε that it spends."""

import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from model.errors import DataError
from model.training.plan import Privacy

COUNTS_SHARE = 0.1  # of ε, for the counts; the rest is for the weights
FEWEST_USERS = 100
MOST_NOISE = 1e4
CLOSE = 1e-3  # relative tolerance of the least noise
ORDERS = (*(1 + x / 10 for x in range(1, 100)), *range(12, 64), 80, 96, 128, 192, 256, 512, 1024)
UNIT = "user: all events of one user id, added or removed"
COVERS = "all files of the artifact, and what is derived from them"
PUBLIC = "the item list, the number of users, the times of the first and of the last event"

Spending = tuple[float, float, int]  # noise as a multiple of sensitivity, sample rate, steps


class Budget(NamedTuple):
    """The steps of a private training, their sampling rate and their noise."""

    users: int
    delta: float
    sample_rate: float  # probability that a user is in a step
    steps: int
    counts_noise: float  # as a multiple of the most that one user adds to the counts
    noise: float  # as a multiple of the most that one user adds to a step

    @classmethod
    def of(cls, privacy: Privacy, users: int, epochs: int) -> "Budget":
        """Find the least noise that gives the guarantee; raises ``DataError`` for too few users."""
        if users < FEWEST_USERS:
            raise DataError(
                f"the log has {users} users to learn from, privacy needs at least {FEWEST_USERS}; "
                "give a longer log, or leave --dp-epsilon out"
            )
        delta = privacy.delta or 1 / (10 * users)
        rate = min(1.0, privacy.lot / users)
        steps = math.ceil(epochs / rate)
        counts_noise = _least(lambda s: spent([(s, 1.0, 1)], delta), COUNTS_SHARE * privacy.epsilon)
        counted = (counts_noise, 1.0, 1)
        noise = _least(lambda s: spent([counted, (s, rate, steps)], delta), privacy.epsilon)
        return cls(users, delta, rate, steps, counts_noise, noise)

    @property
    def spendings(self) -> list[Spending]:
        """The counts, then the steps."""
        return [(self.counts_noise, 1.0, 1), (self.noise, self.sample_rate, self.steps)]

    def statement(self, privacy: Privacy) -> dict[str, Any]:
        """The manifest's privacy statement; ε is rounded up."""
        import opacus

        epsilon = spent(self.spendings, self.delta)
        return {
            "epsilon": math.ceil(epsilon * 10_000) / 10_000,
            "delta": self.delta,
            "unit": UNIT,
            "covers": COVERS,
            "taken_as_public": PUBLIC,
            "accountant": f"Rényi, opacus {opacus.__version__}",
            "clip": privacy.clip,
            "noise": self.noise,
            "sample_rate": self.sample_rate,
            "steps": self.steps,
            "users": self.users,
            "counts_noise": self.counts_noise,
        }


def spent(spendings: Sequence[Spending], delta: float) -> float:
    """The ε of composed Gaussian mechanisms on Poisson samples (Mironov, CSF 2017)."""
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = list(spendings)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # opacus warns that another order might give a smaller ε
        return float(accountant.get_epsilon(delta, alphas=list(ORDERS)))


def _least(epsilon_of: Callable[[float], float], target: float) -> float:
    """The least noise that spends at most the target, found by bisection."""
    low, high = 0.0, 1.0
    while epsilon_of(high) > target:
        low, high = high, 2 * high
        if high > MOST_NOISE:
            raise DataError(
                f"no amount of noise reaches ε = {target:.3g}; give a larger "
                "--dp-epsilon or --dp-delta"
            )
    while high - low > CLOSE * high:
        middle = (low + high) / 2
        low, high = (middle, high) if epsilon_of(middle) > target else (low, middle)
    return high
