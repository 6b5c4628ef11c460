"""Rounding: published probabilities have at most six significant digits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.rounding import round_probabilities


@pytest.mark.parametrize(
    ("probability", "published"),
    [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (1 / 3, "0.333333"),
        (2 / 3, "0.666667"),
        (0.9999996, "1.0"),
        (0.9999994, "0.999999"),
        (1.2345678e-4, "0.000123457"),
        (0.001, "0.001"),
        (9.999999e-17, "1e-16"),
        (1.2345678e-17, "1.23457e-17"),
        (9e-18, "0.0"),  # below 1e-17
    ],
)
def test_a_probability_is_published_with_six_significant_digits(
    probability: float, published: str
) -> None:
    rounded = float(round_probabilities(probability))

    assert rounded == float(published)
    assert repr(rounded) == repr(float(published))


@given(st.lists(st.floats(1e-16, 1.0), min_size=1, max_size=20))
def test_rounding_gives_the_nearest_decimal_and_keeps_the_order(values: list[float]) -> None:
    rounded = round_probabilities(sorted(values)).tolist()

    assert rounded == sorted(rounded)
    for exact, found in zip(sorted(values), rounded, strict=True):
        assert found == float(f"{found:.6g}")  # a decimal of six digits, to the last bit
        assert found == pytest.approx(exact, rel=5.1e-6)  # half of the sixth digit of 1.00000


def test_a_single_precision_value_is_rounded_exactly() -> None:
    assert round_probabilities(np.array([0.1], dtype=np.float32)).tolist() == [0.1]
