"""The fit of the copy curve: how users return to items, and to items that are new."""

from collections.abc import Iterable
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize, minimize_scalar

from model.artifact.copying import Candidates, CopyCurve, candidates, sizes
from model.config import ArtifactConfig
from model.data.dataset import NO_NEXT, Histories, Labels, spans
from model.training.sampling import sample
from model.training.training_data import TrainingData

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MOST_WINDOWS = 20_000
RIDGE = 1.0  # nats for a factor of e: regularises buckets with few events
NEW_RIDGE = 5.0
FURTHEST = 5.0  # nats: the largest factor of new items, and one over the smallest


def fit_curve(data: TrainingData, config: ArtifactConfig, seed: int) -> CopyCurve:
    """Fit the curve on all events, and the factor of new items on the held-out ones.

    New are the items without an event before the held-out period: those of a worker are unknown
    to its model for the same reason. Both are the likeliest under a small ridge, so where there is
    little to learn from, the factors are close to 1.
    """
    found = _windows(data.whole, data.whole_labels, config, seed)
    curve = CopyCurve(_fit(found, sizes(len(config.actions)).values()))
    held_out = _windows(data.whole, data.held_out_labels, config, seed)
    return replace(curve, new=_fit_new(curve, held_out, data.counts == 0))


class Windows(NamedTuple):
    """Windows of the log with a next item: K candidates in W windows."""

    found: Candidates
    items: Ints  # (K,) catalogue indices
    hits: Mask  # (K,) whether the candidate comes next
    size: int  # W


def _windows(histories: Histories, labels: Labels, config: ArtifactConfig, seed: int) -> Windows:
    """A sample of the windows that have a next item, as serving sees them."""
    ends = sample(np.flatnonzero(labels.next_items != NO_NEXT), MOST_WINDOWS, seed)
    begins = histories.offsets[np.searchsorted(histories.offsets, ends, side="right") - 1]
    lengths = np.minimum(ends + 1 - begins, config.max_length)
    _, source = spans(ends + 1 - lengths, lengths)
    items = histories.items[source].astype(np.int64)
    actions = histories.actions[source].astype(np.int64)
    now_ms = histories.times_ms[ends]
    found = candidates(items, actions, histories.times_ms[source], lengths, now_ms)
    own = items[found.newest]
    hits = own == labels.next_items[ends][found.rows]
    return Windows(found, own, hits, len(ends))


def _fit(windows: Windows, lengths: Iterable[int]) -> tuple[tuple[float, ...], ...]:
    """The likeliest tables of these lengths: least ``Σ log(1 + Σ_i w_i) − log w_hit``."""
    begins = np.cumsum([0, *lengths])
    places = windows.found.cells + begins[:-1]  # (K, 6) in one long table
    rows = windows.found.rows

    def cost(logs: Floats) -> tuple[float, Floats]:
        log_weights = logs[places].sum(axis=1)
        weights = np.exp(log_weights)
        total = 1 + np.bincount(rows, weights, windows.size)
        excess = weights / total[rows] - windows.hits
        slope = np.zeros(len(logs))
        for column in places.T:
            slope += np.bincount(column, excess, len(logs))
        loss = np.log(total).sum() - log_weights[windows.hits].sum()
        return loss + RIDGE * (logs**2).sum() / 2, slope + RIDGE * logs

    fitted = np.exp(minimize(cost, np.zeros(begins[-1]), jac=True, method="L-BFGS-B").x)
    parts = np.split(fitted, begins[1:-1])
    return tuple(tuple(part.tolist()) for part in parts)


def _fit_new(curve: CopyCurve, windows: Windows, is_new: Mask) -> float:
    """The likeliest factor of new items, for which windows without one say nothing."""
    new = is_new[windows.items]
    weights, rows = curve.weights(windows.found.cells), windows.found.rows
    known = 1 + np.bincount(rows[~new], weights[~new], windows.size)
    unknown = np.bincount(rows[new], weights[new], windows.size)
    hits = int((windows.hits & new).sum())

    def cost(log: float) -> float:
        return float(
            np.log(known + np.exp(log) * unknown).sum() - log * hits + NEW_RIDGE * log**2 / 2
        )

    return float(np.exp(minimize_scalar(cost, bounds=(-FURTHEST, FURTHEST), method="bounded").x))
