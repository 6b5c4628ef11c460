import json

import numpy as np
import pytest

from model.artifact.calibration import Calibration, sigmoid
from model.errors import ArtifactError


def test_each_intent_has_its_own_line() -> None:
    calibration = Calibration(("cart", "buy"), (1.0, 2.0), (0.0, -1.0), (0.5, 0.1))

    assert calibration.apply([[0.0, 0.5]]).tolist() == [[1 / 2, 1 / 2]]  # σ(0), σ(2·0.5 − 1)


def test_extreme_logits_do_not_overflow() -> None:
    assert sigmoid(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]


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
