"""The fit of the calibration: the line of least log loss for each intent, on held-out events."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from model.artifact.calibration import Calibration, Floats, sigmoid
from model.features import CENSORED

NEVER_OR_ALWAYS = 1e-6  # keeps a base rate away from 0 and 1
FLAT = 1e-10  # nats per event: the slope of the loss at which the fit ends


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


def _fit_line(z: Floats, y: npt.NDArray[Any]) -> tuple[float, float]:
    """Slope and offset of least log loss, with Platt's soft targets."""
    from scipy.optimize import minimize

    positives = int(y.sum())
    negatives = len(y) - positives
    if not len(y):
        return 1.0, 0.0
    if positives == 0 or negatives == 0:
        return 1.0, float(np.log((positives + 1) / (negatives + 1)) - z.mean())
    targets = np.where(y == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    features = np.stack([z, np.ones_like(z)], axis=1)  # (N, 2)

    def loss(line: Floats) -> float:
        logits = features @ line
        return float((np.logaddexp(0, logits) - targets * logits).mean())

    def gradient(line: Floats) -> Floats:
        slopes: Floats = features.T @ (sigmoid(features @ line) - targets) / len(z)
        return slopes

    def curvature(line: Floats) -> Floats:
        p = sigmoid(features @ line)
        curves: Floats = (features * (p * (1 - p))[:, None]).T @ features / len(z)
        return curves

    start = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
    found = minimize(
        loss, start, jac=gradient, hess=curvature, method="trust-exact", options={"gtol": FLAT}
    )
    slope, offset = found.x.tolist()
    return slope, offset
