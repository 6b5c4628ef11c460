from math import log2

import numpy as np
import pytest

from model.catalogue import Catalogue
from model.evaluation.variety import coverage, diversity, novelty_bits

CATALOGUE = Catalogue.from_names(list("abcd"), ["x", "x", "y", None], [4, 2, 2, 0])


def lists(*rows: list[int]) -> "np.ndarray[tuple[int, int], np.dtype[np.int32]]":
    return np.array(rows, dtype=np.int32).reshape(len(rows), 3)


def test_coverage_is_the_share_of_items_in_any_answer() -> None:
    assert coverage(lists([0, 1, -1], [1, 0, -1]), 4) == 2 / 4
    assert coverage(lists(), 4) == 0


def test_novelty_is_the_mean_surprise_of_the_items() -> None:
    # d, which has no events, counts as 1 of 4 + 2 + 2 + 1
    bits = [-log2(4 / 9), -log2(2 / 9), -log2(1 / 9)]

    assert novelty_bits(lists([0, 1, 3], [-1, -1, -1]), CATALOGUE) == pytest.approx(sum(bits) / 3)
    assert novelty_bits(lists([-1, -1, -1]), CATALOGUE) is None


def test_diversity_is_the_share_of_pairs_of_different_categories() -> None:
    # a b c: of 3 pairs ab is of one category; a c d: d has none, so one pair, which differs
    assert diversity(lists([0, 1, 2], [0, 2, 3]), CATALOGUE) == pytest.approx((2 / 3 + 1 / 1) / 2)
    assert diversity(lists([0, 3, -1], [-1, -1, -1]), CATALOGUE) is None
