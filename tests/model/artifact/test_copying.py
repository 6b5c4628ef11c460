"""The copy curve: what it reads in a window, its weights, and its file."""

import numpy as np
import pytest

from model.artifact.copying import CopyCurve, candidates, sizes

MINUTE_MS = 60_000
FLAT = CopyCurve(tuple((1.0,) * size for size in sizes(2).values()))


def test_each_item_of_a_window_is_read_once_newest_first() -> None:
    found = candidates(
        np.array([7, 5, 7, 9]),
        np.array([0, 1, 0, -1]),
        np.array([0, 1, 2, 3]) * MINUTE_MS,
        np.array([3, 1]),
        np.array([2, 13]) * MINUTE_MS,
    )

    assert found.rows.tolist() == [0, 0, 1]
    assert found.newest.tolist() == [2, 1, 3]  # 7 stands last at 2, 5 at 1, 9 at 3
    # steps back, times in the window, age (0, 1 and 10 minutes), distinct items, actions
    assert found.cells.tolist() == [
        [0, 1, 0, 1, 1, 1],
        [1, 0, 1, 1, 2, 1],
        [0, 0, 2, 0, 0, 0],
    ]


def test_a_weight_is_the_product_of_one_factor_of_each_table() -> None:
    tables = list(FLAT.tables)
    tables[0] = (2.0, *tables[0][1:])
    tables[5] = (1.0, 3.0, 1.0)

    weights = CopyCurve(tuple(tables)).weights(np.array([[0, 1, 0, 1, 1, 1], [1, 0, 1, 1, 2, 0]]))

    assert weights.tolist() == [6.0, 1.0]


def test_a_curve_survives_its_file() -> None:
    curve = CopyCurve(FLAT.tables, 1.25)

    assert CopyCurve.from_json(curve.to_json(), actions=2) == curve


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"steps": [1.0]}, "steps is .*, expected 8 positive numbers"),
        ({"ages": [1.0] * 5 + [0.0]}, "ages is .*, expected 6 positive numbers"),
        ({"actions": [1.0, 1.0, float("nan")]}, "actions is .*, expected 3 positive numbers"),
        ({"times": [True] * 4}, "times is .*, expected 4 positive numbers"),
        ({"new": "1"}, "new is '1', expected a positive number"),
    ],
)
def test_a_number_that_no_factor_can_be_is_refused(change: dict[str, object], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        CopyCurve.from_json(FLAT.to_json() | change, actions=2)


def test_a_curve_for_other_actions_is_refused() -> None:
    with pytest.raises(ValueError, match=r"actions is .*, expected 4 positive numbers"):
        CopyCurve.from_json(FLAT.to_json(), actions=3)
