"""Rounding of published probabilities to six significant digits."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_DIGITS = 6
# 10^22 is the largest power of ten that a double holds exactly, so n / 10^k with k ≤ 22 is the
# double next to the decimal, and prints with no more digits than it has.
_LARGEST_SHIFT = 22
_POWERS = np.array([float(f"1e{exponent}") for exponent in range(-17, 2)])
_SHIFTS = np.array([10.0 ** (_DIGITS - 1 - exponent) for exponent in range(-17, 2)])


def round_probabilities(probabilities: npt.ArrayLike) -> Floats:
    """Round to six significant digits; below 1e-17 a probability is 0."""
    exact = np.asarray(probabilities, dtype=np.float64)
    power = np.searchsorted(_POWERS, exact, side="right") - 1  # the largest power of ten ≤ p
    shift = _SHIFTS[np.maximum(power, 0)]
    rounded: Floats = np.rint(exact * shift) / shift
    return np.where(power < 0, 0.0, rounded)
