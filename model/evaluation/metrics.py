"""The metrics: of items by the rank of the right one, of intents by their probabilities.

A rank counts from 1, among all items of the catalogue; 0 means that the right item is not ranked.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CUTOFFS = (5, 10, 20)
ECE_BINS = 10


def recall_at(ranks: npt.ArrayLike, k: int) -> float:
    """The share of ranks within the first k: with one right item, the hit rate."""
    return _mean(gains("recall", ranks, k))


def ndcg_at(ranks: npt.ArrayLike, k: int) -> float:
    """Mean of ``1 / log2(rank + 1)``, 0 beyond k; the best possible is 1."""
    return _mean(gains("ndcg", ranks, k))


def mrr_at(ranks: npt.ArrayLike, k: int) -> float:
    """Mean of ``1 / rank``, 0 beyond k."""
    return _mean(gains("mrr", ranks, k))


def gains(metric: str, ranks: npt.ArrayLike, k: int) -> Floats:
    """The contribution of each rank to the mean of ``recall``, ``ndcg`` or ``mrr`` at k."""
    rank = np.atleast_1d(np.asarray(ranks, dtype=np.float64))
    found = (rank >= 1) & (rank <= k)
    safe = np.where(found, rank, 1)  # no division by zero
    gain = {"recall": np.ones_like(safe), "ndcg": 1 / np.log2(safe + 1), "mrr": 1 / safe}
    return np.where(found, gain[metric], 0.0)


def auc(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float | None:
    """The probability that a positive is rated above a negative; None if one class is missing."""
    from sklearn.metrics import roc_auc_score

    y, p = _both(labels, probabilities)
    return float(roc_auc_score(y, p)) if 0 < y.sum() < len(y) else None


def average_precision(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float | None:
    """The area under precision over recall; None without positives."""
    from sklearn.metrics import average_precision_score

    y, p = _both(labels, probabilities)
    return float(average_precision_score(y, p)) if y.sum() > 0 else None


def log_loss(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float | None:
    """Mean of ``−log`` of the probability given to the outcome; None without labels."""
    y, p = _both(labels, probabilities)
    if not len(y):
        return None
    given = np.where(y == 1, p, 1 - p).clip(np.finfo(np.float64).tiny)
    return float(-np.log(given).mean())


def expected_calibration_error(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int = ECE_BINS
) -> float | None:
    """``Σ_bins |mean label − mean probability| · n_bin / n``; None without labels.

    Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), with bins of equally many
    predictions: otherwise all predictions of a rare intent would be in the first bin.
    """
    y, p = _both(labels, probabilities)
    if not len(y):
        return None
    order = np.argsort(p, kind="stable")
    parts = np.array_split(order, min(bins, len(order)))
    gaps = [abs(float((y[part] - p[part]).sum())) for part in parts]
    return sum(gaps) / len(y)


def item_figures(ranks: npt.ArrayLike) -> dict[str, float]:
    """All metrics of items at the usual cutoffs, with the number of ranks."""
    return {
        "n": int(np.size(ranks)),
        **{f"recall@{k}": recall_at(ranks, k) for k in CUTOFFS},
        **{f"ndcg@{k}": ndcg_at(ranks, k) for k in CUTOFFS},
        **{f"mrr@{k}": mrr_at(ranks, k) for k in CUTOFFS},
    }


def intent_figures(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> dict[str, float | None]:
    """All metrics of an intent over its known labels (1 or 0), with their number."""
    y, p = _both(labels, probabilities)
    y, p = y[y >= 0], p[y >= 0]
    return {
        "n": len(y),
        "yes": int(y.sum()),
        "auc": auc(y, p),
        "ap": average_precision(y, p),
        "log_loss": log_loss(y, p),
        "ece": expected_calibration_error(y, p),
    }


def best_threshold(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> float | None:
    """The probability threshold with the best F1; None without positives.

    To be chosen on held-out data, never on the data it is evaluated on.
    """
    from sklearn.metrics import precision_recall_curve

    y, p = _both(labels, probabilities)
    y, p = y[y >= 0], p[y >= 0]
    if y.sum() == 0:
        return None
    precision, recall, thresholds = precision_recall_curve(y, p)
    f1 = 2 * precision * recall / np.maximum(precision + recall, np.finfo(np.float64).tiny)
    return float(thresholds[f1[:-1].argmax()])


def decision_figures(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, threshold: float
) -> dict[str, float | None]:
    """The metrics of predicting positive from this threshold on, over the known labels (1 or 0).

    Precision is None without predicted positives, recall without actual ones.
    """
    y, p = _both(labels, probabilities)
    predicted, actual = p[y >= 0] >= threshold, y[y >= 0] == 1
    right = int((predicted & actual).sum())
    return {
        "threshold": threshold,
        "accuracy": _share(int((predicted == actual).sum()), len(actual)),
        "precision": _share(right, int(predicted.sum())),
        "recall": _share(right, int(actual.sum())),
        "f1": _share(2 * right, int(predicted.sum() + actual.sum())),
    }


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _both(labels: npt.ArrayLike, probabilities: npt.ArrayLike) -> tuple[Floats, Floats]:
    return np.asarray(labels, dtype=np.float64), np.asarray(probabilities, dtype=np.float64)


def _mean(gains: Floats) -> float:
    return float(gains.mean()) if len(gains) else 0.0
