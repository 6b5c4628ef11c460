"""Noisy counts: item popularity and intent rates with Gaussian noise.

Every user adds a vector of bounded length to the counts, so Gaussian noise scaled to that bound
hides whether any one user is in the log (Dwork and Roth, 2014, A.1).
"""

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from model.artifact.day_parts import PARTS, DayPartCounts
from model.catalogue import PER_EVENT, decays
from model.data.dataset import Histories, Labels
from model.features import CENSORED

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BOUND = math.sqrt(2)  # length of a user's whole vector: items and intents, at most 1 each


class LogCounts(NamedTuple):
    """Item counts for each part of the day, and the rate of each intent."""

    day_parts: DayPartCounts
    rates: Floats  # (A,) of the intents; in noisy counts every user has the same weight

    @property
    def counts(self) -> Ints:
        """The item counts over the whole day, (V,)."""
        counts: Ints = self.day_parts.counts.sum(axis=0)
        return counts


def noisy_counts(
    histories: Histories,
    labels: Labels,
    items: int,
    now_ms: int,
    noise: float,
    rng: np.random.Generator,
) -> LogCounts:
    """Count with noise of ``noise`` times ``BOUND``, drawn from ``rng``."""
    spread = noise * BOUND
    acted = acted_on(histories, items, now_ms).sum(axis=0)
    happened = came_true(histories, labels).sum(axis=0)
    acted = np.maximum(acted + rng.normal(scale=spread, size=acted.shape), 0) * PER_EVENT
    yes, known = happened + rng.normal(scale=spread, size=happened.shape)
    rates = np.where(known > 0, yes / np.where(known > 0, known, 1), 0).clip(0, 1)
    # All parts of the day get the same counts: separate ones need four times as many noisy values.
    counts = np.tile(np.rint(acted / PARTS).astype(np.int64), (PARTS, 1))
    return LogCounts(DayPartCounts(counts), rates)


def acted_on(histories: Histories, items: int, now_ms: int) -> "csr_array":
    """Each user's contribution to the item counts, (U, V), of length at most 1.

    An event counts 1, halved for each half-life before ``now_ms``; a user's vector longer than 1
    is scaled to length 1.
    """
    from scipy.sparse import csr_array, diags_array

    known = histories.items >= 0
    users, times_ms = histories.users[known], histories.times_ms[known]
    weights = decays(times_ms, now_ms)
    shape = (len(histories.offsets) - 1, items)
    cells = (users, histories.items[known])
    table = csr_array((weights, cells), shape=shape)  # sums duplicates
    lengths = np.sqrt(table.power(2).sum(axis=1))
    return csr_array(diags_array(1 / np.maximum(lengths, 1)) @ table)


def came_true(histories: Histories, labels: Labels) -> Floats:
    """Each user's rate of each intent, and 1 where that rate is known: (U, 2, A).

    Divided by √(2A), so that a user's contribution has a length of at most 1.
    """
    users, n_users = histories.users, len(histories.offsets) - 1
    intents = labels.intents.shape[1]
    added = np.zeros((n_users, 2, intents))
    for column in range(intents):
        happened = labels.intents[:, column]
        known = np.bincount(users[happened != CENSORED], minlength=n_users)
        yes = np.bincount(users[happened == 1], minlength=n_users)
        added[:, 0, column] = yes / np.maximum(known, 1)
        added[:, 1, column] = known > 0
    return added / math.sqrt(2 * max(intents, 1))
