"""Noisy counts: how popular items are and how often intents come true, with Gaussian noise.

Every user adds a vector of bounded length to the counts, so Gaussian noise of a multiple of that
bound hides whether any one of them is there (Dwork and Roth, 2014, A.1).
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

BOUND = math.sqrt(2)  # of a user's whole vector: what they acted on, and what came of it, 1 each


class LogCounts(NamedTuple):
    """How popular items are in each part of the day, and how often each intent comes true."""

    day_parts: DayPartCounts
    rates: Floats  # (A,) of the intents, each user counting alike

    @property
    def counts(self) -> Ints:
        """(V,) of the items, over the whole day."""
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
    """Count with noise of so many times ``BOUND``, drawn from ``rng``."""
    spread = noise * BOUND
    acted = acted_on(histories, items, now_ms).sum(axis=0)
    came = came_true(histories, labels).sum(axis=0)
    acted = np.maximum(acted + rng.normal(scale=spread, size=acted.shape), 0) * PER_EVENT
    yes, known = came + rng.normal(scale=spread, size=came.shape)
    rates = np.where(known > 0, yes / np.where(known > 0, known, 1), 0).clip(0, 1)
    # The parts of the day are not told apart: it would take four times as many noisy numbers.
    counts = np.tile(np.rint(acted / PARTS).astype(np.int64), (PARTS, 1))
    return LogCounts(DayPartCounts(counts), rates)


def acted_on(histories: Histories, items: int, now_ms: int) -> "csr_array":
    """What each user adds to the counts of items: (U, V), of a length of 1 at most.

    An event adds one half for each half-life before ``now_ms``; who would then add a vector longer
    than 1 adds one of length 1.
    """
    from scipy.sparse import csr_array, diags_array

    known = histories.items >= 0
    users, times_ms = histories.users[known], histories.times_ms[known]
    weights = decays(times_ms, now_ms)
    shape = (len(histories.offsets) - 1, items)
    places = (users, histories.items[known])
    table = csr_array((weights, places), shape=shape)  # what stands twice is summed
    lengths = np.sqrt(table.power(2).sum(axis=1))
    return csr_array(diags_array(1 / np.maximum(lengths, 1)) @ table)


def came_true(histories: Histories, labels: Labels) -> Floats:
    """Of each user and intent how often it came true, and 1 if that is known: (U, 2, A).

    Divided by √(2A), so that what a user adds is no longer than 1.
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
