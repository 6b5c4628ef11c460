"""The categories of a score: the likeliest, and of equals always the first of the catalogue."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.serving.answering.answers import Answers


def best(probs: list[list[float]], count: int) -> list[list[int]]:
    answers = Answers.__new__(Answers)  # the rest of an artifact plays no part
    answers._categories = np.empty(len(probs[0]), dtype=object)
    answers._config = type("Config", (), {"top_categories": count})()
    columns: list[list[int]] = answers._best_categories(np.array(probs, np.float32)).tolist()
    return columns


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_of_equals_at_the_cut_the_first_ones_are_listed(count: int) -> None:
    many = [0.125] * 40  # so many that a partial sort mixes them

    assert best([many], count) == [list(range(count))]


def test_a_tie_at_the_cut_takes_nothing_from_the_likelier_ones() -> None:
    probs = [0.1, 0.2, 0.1, 0.4, 0.1, 0.1]

    assert best([probs, probs[::-1]], 3) == [[3, 1, 0], [2, 4, 0]]


@given(
    st.integers(1, 12).flatmap(
        lambda n: st.tuples(
            st.integers(1, 12),
            st.lists(
                st.lists(st.sampled_from([0.0, 0.1, 0.2, 0.3]), min_size=n, max_size=n), min_size=1
            ),
        )
    )
)
def test_they_are_those_of_a_full_stable_sort(case: tuple[int, list[list[float]]]) -> None:
    count, rows = case

    expected = [sorted(range(len(row)), key=lambda at: -row[at])[:count] for row in rows]
    assert best(rows, count) == expected
