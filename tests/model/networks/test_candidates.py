"""The candidates: neighbours, duplicates, and the features that relate them to the window."""

from math import log, sqrt

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from model.networks.candidates import NOBODY, nearest, newest, once, relate


def test_the_neighbours_are_the_most_frequent_followers() -> None:
    counts = csr_array(np.array([[0, 1, 6, 1], [0, 0, 0, 0], [2, 2, 0, 0], [0, 0, 0, 5]]))
    found = nearest(counts, 2)

    # Item i has the code i + 2; codes 0 and 1 are padding and the unknown item.
    assert found.codes.tolist() == [[0, 0], [0, 0], [4, 3], [0, 0], [2, 3], [5, 0]]
    assert found.shares[2].tolist() == pytest.approx([6 / 8, 1 / 8])
    assert found.shares[4].tolist() == pytest.approx([2 / 4, 2 / 4])
    assert found.shares[5].tolist() == [1.0, 0.0]


def test_the_newest_items_come_newest_first() -> None:
    items = torch.tensor([[4, 5, 6, 0], [7, 0, 0, 0]])

    assert newest(items, torch.tensor([3, 1]), 2).tolist() == [[6, 5], [7, 0]]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12))
def test_candidates_are_distinct_known_items(codes: list[int]) -> None:
    size = len(codes)
    earlier = torch.tril(torch.ones(size, size, dtype=torch.bool), diagonal=-1)
    (kept,) = once(torch.tensor([codes]), earlier).tolist()
    items = [code for code in codes if code >= 2]

    assert [code for code in kept if code != NOBODY] == list(dict.fromkeys(items))
    assert all(code in (NOBODY, before) for code, before in zip(kept, codes, strict=True))


def test_features_relate_a_candidate_to_the_window() -> None:
    window = torch.tensor([[2, 3, 2, 0]])
    attribute = torch.tensor([0, 0, 1, 1, 2, 0])  # codes 2 and 3 are of one category, 4 of another
    # Code 2, the newest item, is followed by 3 (60 %) and 4 (20 %); code 3, the one before, by 4
    # (50 %).
    near = torch.tensor([[[3, 4], [4, 0]]]), torch.tensor([[[0.6, 0.2], [0.5, 0.0]]])
    found = relate(torch.tensor([[2, 3, 4, 5]]), window, torch.tensor([3]), near, attribute)

    assert found[0].tolist() == [
        pytest.approx([log(1 + 2), 1, 3 / 3, 1, 0, 0]),
        pytest.approx([log(1 + 1), 1 / 2, 3 / 3, 1, sqrt(0.6), sqrt(0.6)]),
        pytest.approx([0, 0, 0, 0, sqrt(0.2), sqrt(0.2 + 0.5 / 2)]),
        pytest.approx([0, 0, 0, 0, 0, 0]),
    ]
