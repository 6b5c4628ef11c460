"""The calibration of the intents: maps the network's logits to calibrated probabilities.

Fitted in training (`model.artifact.calibration_fit`); applied with NumPy alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import ArtifactError

Floats = npt.NDArray[np.float64]

LINE = ("intent", "slope", "offset", "base_rate")


@dataclass(frozen=True, slots=True)
class Calibration:
    """``p = σ(slope·z + offset)``, one line for each intent, in the order of ``intents``.

    Platt, "Probabilistic Outputs for Support Vector Machines …" (1999). ``base_rates`` are the
    rates of each intent in the training data: the answer for an unknown user.
    """

    intents: tuple[str, ...]
    slopes: tuple[float, ...]
    offsets: tuple[float, ...]
    rates: tuple[float, ...]

    @property
    def base_rates(self) -> Floats:
        """The base rates as an array of probabilities, (A,)."""
        return np.array(self.rates, dtype=np.float64)

    def apply(self, logits: npt.ArrayLike) -> Floats:
        """Probabilities (B, A) of logits (B, A); each depends on its own logit alone."""
        z = np.ascontiguousarray(logits, dtype=np.float64)
        return sigmoid(z * np.array(self.slopes) + np.array(self.offsets))

    def to_json(self) -> dict[str, Any]:
        """A list with one object per intent, as JSON types."""
        lines = zip(self.intents, self.slopes, self.offsets, self.rates, strict=True)
        return {"lines": [dict(zip(LINE, line, strict=True)) for line in lines]}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Calibration":
        """Rebuild from ``to_json``; raises ``ArtifactError`` for a missing or invalid number."""
        try:
            lines = [
                (str(line["intent"]), *(float(line[name]) for name in LINE[1:]))
                for line in fields["lines"]
            ]
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"calibration.json: {error!r}; expected {', '.join(LINE)} of each intent; "
                "export the artifact again"
            ) from None
        names, slopes, offsets, rates = zip(*lines, strict=True) if lines else ((), (), (), ())
        if not np.isfinite([*slopes, *offsets, *rates]).all():
            raise ArtifactError(
                "calibration.json: has a value that is not finite; export the artifact again"
            )
        return cls(names, slopes, offsets, rates)


def sigmoid(z: Floats) -> Floats:
    """``1 / (1 + e^−z)`` without overflow."""
    exp = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + exp), exp / (1 + exp))
