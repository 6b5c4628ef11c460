"""The fit of the calibration: the same lines as a logistic regression finds on split rows."""

import numpy as np
import numpy.typing as npt
import pytest

from model.artifact.calibration import sigmoid
from model.artifact.calibration_fit import fit


def draw(logits: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels drawn with the probabilities of the logits."""
    return (np.random.default_rng(seed).random(logits.shape) < sigmoid(logits)).astype(np.int8)


def test_fitting_recovers_the_line_of_the_labels() -> None:
    truth = np.random.default_rng(1).normal(-1, 2, 20_000)
    overconfident = (3 * truth + 2)[:, None]

    calibration = fit(["buy"], overconfident, draw(truth)[:, None], [0.3])

    assert calibration.slopes[0] == pytest.approx(1 / 3, rel=0.05)
    assert calibration.offsets[0] == pytest.approx(-2 / 3, abs=0.05)


def test_censored_labels_are_left_out() -> None:
    truth = np.random.default_rng(2).normal(0, 1, 500)[:, None]
    labels = draw(truth)
    more = np.concatenate([truth, truth]), np.concatenate([labels, np.full_like(labels, -1)])

    assert fit(["buy"], *more, [0.5]) == fit(["buy"], truth, labels, [0.5])


@pytest.mark.parametrize(("label", "odds"), [(0, (0 + 1) / (5 + 1)), (1, (5 + 1) / (0 + 1))])
def test_an_intent_with_equal_labels_is_only_shifted(label: int, odds: float) -> None:
    calibration = fit(
        ["buy"], [[-1.0], [0.0], [0.0], [0.0], [1.0]], np.full((5, 1), label), [label]
    )

    assert calibration.slopes == (1.0,)
    assert calibration.apply([[0.0]])[0, 0] == pytest.approx(odds / (1 + odds))
    assert 0 < calibration.base_rates[0] < 1


def test_an_intent_without_known_labels_keeps_its_logits() -> None:
    calibration = fit(["buy"], np.zeros((5, 1)), np.full((5, 1), -1), [0.1])

    assert (calibration.slopes, calibration.offsets) == ((1.0,), (0.0,))


def test_separable_classes_give_finite_probabilities() -> None:
    logits = np.array([[-1.0], [-0.5], [0.5], [1.0]])

    calibration = fit(["buy"], logits, [[0], [0], [1], [1]], [0.5])

    low, high = calibration.apply([[-1.0], [1.0]])[:, 0]
    assert 0 < low < 0.3
    assert 0.7 < high < 1


def regression(
    logits: npt.NDArray[np.float64], labels: npt.NDArray[np.int8]
) -> tuple[float, float]:
    """Slope and offset by scikit-learn: each row twice, weighted by Platt's target and the rest."""
    from sklearn.linear_model import LogisticRegression

    positives, negatives = int(labels.sum()), int((labels == 0).sum())
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    rows = np.concatenate([logits, logits])[:, None]
    classes = np.repeat([1, 0], len(logits))
    line = LogisticRegression(C=1e15, solver="newton-cholesky", tol=1e-12, max_iter=1_000)
    line.fit(rows, classes, sample_weight=np.concatenate([targets, 1 - targets]))
    return float(line.coef_[0, 0]), float(line.intercept_[0])


@pytest.mark.parametrize("scale", [0.01, 1.0, 30.0])  # of overconfident and of timid networks
@pytest.mark.parametrize(("rate", "count"), [(0.5, 5_000), (0.01, 5_000), (0.3, 20)])
def test_the_line_is_that_of_a_logistic_regression(scale: float, rate: float, count: int) -> None:
    truth = np.random.default_rng(3).normal(np.log(rate / (1 - rate)), 1.0, count)
    labels = draw(truth)
    labels[:2] = 0, 1
    found = fit(["buy"], (scale * truth)[:, None], labels[:, None], [rate])
    slope, offset = regression(scale * truth, labels)

    assert found.slopes[0] == pytest.approx(slope, rel=1e-5, abs=1e-7)
    assert found.offsets[0] == pytest.approx(offset, rel=1e-5, abs=1e-5)


def test_logits_that_are_all_equal_give_the_rate_of_the_labels() -> None:
    calibration = fit(["buy"], np.full((4, 1), 2.0), [[1], [0], [0], [0]], [0.3])

    # Platt's targets: (1 + 1) / (1 + 2) for the positive, 1 / (3 + 2) for each negative.
    expected = (2 / 3 + 3 / 5) / 4
    assert calibration.apply([[2.0]])[0, 0] == pytest.approx(expected)
