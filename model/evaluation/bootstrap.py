"""The bootstrap: confidence intervals of figures over users.

Users are resampled, not questions, as the questions of one user are not independent. Efron &
Tibshirani, "An Introduction to the Bootstrap" (1993), the percentile interval.
"""

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Figure = Callable[[Floats], float | None]  # takes the weight of each question (Q,)
Interval = tuple[float, float]

RESAMPLES = 1_000
COVERED = 0.95
SEED = 20_260_101


def intervals(
    figures: Mapping[str, Figure], users: Ints, resamples: int = RESAMPLES
) -> dict[str, Interval | None]:
    """The 95 % interval of each figure, all on the same resamples; None without any value.

    ``users`` (Q,) is the user of each question. In a resample, the weight of a question is the
    number of times that its user was drawn; resamples without a value of a figure are skipped.
    """
    distinct, user_of = np.unique(users, return_inverse=True)
    rng = np.random.default_rng(SEED)
    found: dict[str, list[float]] = {name: [] for name in figures}
    for _ in range(resamples if len(distinct) else 0):
        drawn = rng.integers(len(distinct), size=len(distinct))
        weights = np.bincount(drawn, minlength=len(distinct)).astype(np.float64)[user_of]
        for name, figure in figures.items():
            value = figure(weights)
            if value is not None:
                found[name].append(value)
    return {name: _bounds(values) for name, values in found.items()}


def mean_of(gains: Floats) -> Figure:
    """The weighted mean of the questions' gains (Q,)."""

    def figure(weights: Floats) -> float | None:
        total = weights.sum()
        return float(weights @ gains / total) if total else None

    return figure


def auc_of(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> Figure:
    """The weighted area under the ROC curve; ties count half. None if one class is missing."""
    y = np.asarray(labels, dtype=np.float64)
    _, level = np.unique(np.asarray(probabilities), return_inverse=True)

    def figure(weights: Floats) -> float | None:
        positive = np.bincount(level, weights * y)
        negative = np.bincount(level, weights * (1 - y))
        pairs = positive.sum() * negative.sum()
        below = np.cumsum(negative) - negative
        return float(positive @ (below + negative / 2) / pairs) if pairs else None

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
