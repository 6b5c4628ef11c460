"""The bootstrap: between what bounds a figure would likely fall, had other users come.

Users are drawn, not questions: what one user does is no independent evidence twice. Efron &
Tibshirani, "An Introduction to the Bootstrap" (1993), the percentile interval.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Figure = Callable[[Floats], float | None]  # of a weight (Q,) for each question
Interval = tuple[float, float]

RESAMPLES = 1_000
COVERED = 0.95
SEED = 20_260_101


def intervals(
    figures: Mapping[str, Figure], users: Ints, resamples: int = RESAMPLES
) -> dict[str, Interval | None]:
    """The 95 % interval of each figure, all on the same draws; None for one that never was.

    ``users`` (Q,) says whose each question is. In a draw a question weighs as often as its user
    came up; a draw in which a figure has no value does not count for it.
    """
    distinct, whose = np.unique(users, return_inverse=True)
    rng = np.random.default_rng(SEED)
    found: dict[str, list[float]] = {name: [] for name in figures}
    for _ in range(resamples if len(distinct) else 0):
        drawn = rng.integers(len(distinct), size=len(distinct))
        weights = np.bincount(drawn, minlength=len(distinct)).astype(np.float64)[whose]
        for name, figure in figures.items():
            value = figure(weights)
            if value is not None:
                found[name].append(value)
    return {name: _bounds(values) for name, values in found.items()}


def mean_of(gains: Floats) -> Figure:
    """The weighted mean of one gain (Q,) a question."""

    def figure(weights: Floats) -> float | None:
        total = weights.sum()
        return float(weights @ gains / total) if total else None

    return figure


def auc_of(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Figure:
    """The weighted area under the ROC curve; ties count half. None where one class is missing."""
    y = np.asarray(labels, dtype=np.float64)
    _, level = np.unique(np.asarray(probabilities), return_inverse=True)

    def figure(weights: Floats) -> float | None:
        yes = np.bincount(level, weights * y)
        no = np.bincount(level, weights * (1 - y))
        pairs = yes.sum() * no.sum()
        below = np.cumsum(no) - no
        return float(yes @ (below + no / 2) / pairs) if pairs else None

    return figure


def ece_of(labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int) -> Figure:
    """The weighted calibration error, in the bins of ``expected_calibration_error``."""
    gaps = np.asarray(labels, dtype=np.float64) - np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(np.asarray(probabilities), kind="stable")
    begins = [int(part[0]) for part in np.array_split(np.arange(len(gaps)), bins) if len(part)]

    def figure(weights: Floats) -> float | None:
        total = weights.sum()
        sums = np.add.reduceat((weights * gaps)[order], begins) if begins else np.zeros(0)
        return float(np.abs(sums).sum() / total) if total else None

    return figure


def _bounds(values: list[float]) -> Interval | None:
    if not values:
        return None
    low, high = np.quantile(values, [(1 - COVERED) / 2, (1 + COVERED) / 2])
    return float(low), float(high)
