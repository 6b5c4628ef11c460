"""The calibration of the intents: maps the network's logits to calibrated probabilities.

Fitted on held-out data and applied with NumPy alone, so that a worker needs no more.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.errors import ArtifactError
from model.features import CENSORED

Floats = npt.NDArray[np.float64]

LINE = ("intent", "slope", "offset", "base_rate")
NEWTON_STEPS = 50
CONVERGED = 1e-10
RIDGE = 1e-9  # keeps the step finite where the classes are separable
NEVER_OR_ALWAYS = 1e-6  # keeps a base rate away from 0 and 1


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


def fit(
    intents: Sequence[str], logits: npt.ArrayLike, labels: npt.ArrayLike, rates: npt.ArrayLike
) -> Calibration:
    """Fit each intent's line on held-out logits (N, A) and labels (N, A), 1, 0 or ``CENSORED``.

    An intent whose labels are all equal is only shifted, since they do not determine a slope; one
    without known labels stays as it is. ``rates`` (A,) are the base rates of the training data.
    """
    z, y = np.asarray(logits, dtype=np.float64), np.asarray(labels)
    known = y != CENSORED
    lines = [_fit_line(z[known[:, a], a], y[known[:, a], a]) for a in range(len(intents))]
    clipped = np.clip(np.asarray(rates, dtype=np.float64), NEVER_OR_ALWAYS, 1 - NEVER_OR_ALWAYS)
    return Calibration(
        tuple(intents),
        tuple(slope for slope, _ in lines),
        tuple(offset for _, offset in lines),
        tuple(clipped.tolist()),
    )


def sigmoid(z: Floats) -> Floats:
    """``1 / (1 + e^−z)`` without overflow."""
    exp = np.exp(-np.abs(z))
    return np.where(z >= 0, 1 / (1 + exp), exp / (1 + exp))


def _fit_line(z: Floats, y: npt.NDArray[Any]) -> tuple[float, float]:
    """Slope and offset of least log loss, by Newton's method, with Platt's soft targets."""
    positives = int(y.sum())
    negatives = len(y) - positives
    if not len(y):
        return 1.0, 0.0
    if positives == 0 or negatives == 0:
        return 1.0, float(np.log((positives + 1) / (negatives + 1)) - z.mean())
    targets = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    features = np.stack([z, np.ones_like(z)], axis=1)  # (N, 2)
    line = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    loss = _log_loss(features @ line, targets)
    for _ in range(NEWTON_STEPS):
        p = sigmoid(features @ line)
        gradient = features.T @ (p - targets)
        curvature = (features * (p * (1 - p))[:, None]).T @ features + RIDGE * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        # A full step may overshoot far from the minimum: halve it until the loss falls.
        while (tried := _log_loss(features @ (line - step), targets)) > loss + CONVERGED:
            step = step / 2
        line, fallen, loss = line - step, loss - tried, tried
        if abs(fallen) < CONVERGED * max(1.0, loss):
            break
    return float(line[0]), float(line[1])


def _log_loss(z: Floats, targets: Floats) -> float:
    return float((np.logaddexp(0, z) - targets * z).sum())
