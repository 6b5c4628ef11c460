import json

import numpy as np
import pytest

from model.artifact.calibration import Calibration, fit, sigmoid
from model.errors import ArtifactError


def draw(logits: np.ndarray, seed: int = 0) -> np.ndarray:
    """Labels drawn with the probabilities of the logits."""
    return (np.random.default_rng(seed).random(logits.shape) < sigmoid(logits)).astype(np.int8)


def test_each_intent_has_its_own_line() -> None:
    calibration = Calibration(("cart", "buy"), (1.0, 2.0), (0.0, -1.0), (0.5, 0.1))

    assert calibration.apply([[0.0, 0.5]]).tolist() == [[1 / 2, 1 / 2]]  # σ(0), σ(2·0.5 − 1)


def test_extreme_logits_do_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]


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


def test_json_keeps_every_bit() -> None:
    calibration = Calibration(("cart", "buy"), (0.1, 0.7), (-0.3, 1e-7), (0.2, 0.04))

    assert Calibration.from_json(json.loads(json.dumps(calibration.to_json()))) == calibration


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"lines": 3},
        {"lines": [{"intent": "buy", "slope": 1.0, "offset": 0.0}]},
        {"lines": [{"intent": "buy", "slope": "steep", "offset": 0.0, "base_rate": 0.1}]},
        {"lines": [{"intent": "buy", "slope": float("nan"), "offset": 0.0, "base_rate": 0.1}]},
    ],
)
def test_a_mismatch_is_refused_in_one_line(fields: dict[str, object]) -> None:
    with pytest.raises(ArtifactError, match=r"^calibration\.json: .*export the artifact again$"):
        Calibration.from_json(fields)
