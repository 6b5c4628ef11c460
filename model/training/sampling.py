"""Sampling: the events to predict after, drawn with a seed, and split into batches."""

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from model.data.dataset import Labels

Ints = npt.NDArray[np.int64]


def useful(labels: Labels) -> Ints:
    """The events with a next item or a known intent label."""
    return np.flatnonzero(labels.useful)


def sample(events: Ints, most: int, seed: int) -> Ints:
    """Draw at most ``most`` of the events, in order; the same seed gives the same ones."""
    return np.sort(np.random.default_rng(seed).permutation(events)[:most])


def batches(events: Ints, size: int) -> Iterator[Ints]:
    """Split events into batches of ``size``, in order; the last one may be smaller."""
    for start in range(0, len(events), size):
        yield events[start : start + size]
