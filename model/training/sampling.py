"""Sampling: the events after which something is to be predicted, drawn by a seed, in batches."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from model.data.dataset import Labels

Ints = npt.NDArray[np.int64]


def useful(labels: Labels) -> Ints:
    """The events after which there is a next item, or an intent that is known."""
    return np.flatnonzero(labels.useful)


def sample(events: Ints, most: int, seed: int) -> Ints:
    """At most so many of the events, the same ones for a seed, in their order."""
    return np.sort(np.random.default_rng(seed).permutation(events)[:most])


def batches(events: Ints, size: int) -> Iterator[Ints]:
    """So many at a time, in order; the last ones may be fewer."""
    for start in range(0, len(events), size):
        yield events[start : start + size]
