"""The shapes: a batch is cut by length, and runs in the smallest shape that holds it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.serving.shapes import Shapes

WIDEST, ROWS = 52, (16, 64)


@given(st.lists(st.integers(1, 50), max_size=300).map(sorted))
def test_every_sequence_is_in_one_part_of_its_own_width(lengths: list[int]) -> None:
    shapes = Shapes(WIDEST, ROWS)

    parts = list(shapes.cut(np.array(lengths, dtype=np.int64)))

    covered = [row for part in parts for row in range(part.start, part.stop)]
    assert covered == list(range(len(lengths)))
    for part in parts:
        inside = lengths[part]
        assert 1 <= len(inside) <= 64
        widths = {shapes.of(1, length)[1] for length in inside}
        assert len(widths) == 1  # the width depends on no other sequence of the batch


@pytest.mark.parametrize(
    ("rows", "width", "shape"),
    [(1, 4, (16, 8)), (16, 8, (16, 8)), (17, 9, (64, 24)), (64, 25, (64, 52))],
)
def test_the_smallest_shape_that_holds_them_is_taken(
    rows: int, width: int, shape: tuple[int, int]
) -> None:
    assert Shapes(WIDEST, ROWS).of(rows, width) == shape


def test_a_short_window_has_one_width() -> None:
    assert Shapes(8, ROWS).widths == (8,)
    assert Shapes(20, ROWS).widths == (8, 20)
