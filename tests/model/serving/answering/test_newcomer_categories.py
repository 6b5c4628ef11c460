"""The categories of newcomers: which each has, the codes of the names, what they are given."""

import numpy as np
import pytest

from model.catalogue import NO_CATEGORY
from model.sequence import Sequence
from model.serving.answering.newcomer_categories import NO_ROW, mix, number, own_categories


def names_of(*items: str) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    return np.array(items, dtype=object)


def test_each_item_has_the_category_of_its_newest_event_that_named_one() -> None:
    first = Sequence(
        *(("a", "b", "a", "a"), ("click",) * 4, (1, 2, 3, 4), 4, ("lamps", "hats"), b"\1\1\2\0")
    )
    second = Sequence(("a",), ("click",), (1,), 1)

    found = own_categories(
        [first, second], 50, np.array([0, 0, 0, 1]), names_of("a", "b", "gone", "a")
    )

    assert found.tolist() == ["hats", "lamps", None, None]


def test_only_the_window_counts() -> None:
    sequence = Sequence(("a", "b"), ("click",) * 2, (1, 2), 2, ("lamps",), b"\1\0")

    assert own_categories([sequence], 1, np.array([0]), names_of("a")).tolist() == [None]
    assert own_categories([sequence], 2, np.array([0]), names_of("a")).tolist() == ["lamps"]


def test_a_row_numbers_new_categories_in_its_order_whatever_the_others_have() -> None:
    codes = number([0, 0, 1, 0, 1, 1], ["x", "c1", "y", None, "x", "y"], {"c0": 0, "c1": 1})

    assert codes.tolist() == [2, 1, 2, NO_CATEGORY, 3, 2]


def test_what_newcomers_get_the_other_categories_lose_in_their_proportions() -> None:
    probs = np.array([[0.75, 0.25], [0.5, 0.5]], dtype=np.float32)

    mixed = mix(probs, np.array([0, 0, 1]), np.array([1, 2, 1]), np.array([0.25, 0.25, 0.5]))

    # Half of the first row is left, and of the second.
    assert mixed == pytest.approx(np.array([[0.375, 0.375, 0.25], [0.25, 0.75, NO_ROW]]))


def test_a_model_without_categories_lists_those_of_the_newcomers() -> None:
    mixed = mix(np.empty((1, 0), dtype=np.float32), np.array([0]), np.array([0]), np.array([0.4]))

    assert mixed.tolist() == [[0.4]]
