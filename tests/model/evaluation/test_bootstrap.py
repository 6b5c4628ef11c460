import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.evaluation import metrics
from model.evaluation.bootstrap import auc_of, ece_of, intervals, mean_of

PAIRS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.1, 0.2, 0.5, 0.9])), min_size=1, max_size=30
)


def test_users_are_resampled_and_not_questions() -> None:
    gains = np.array([1.0, 0.0] * 50)
    alone, together = np.arange(100), np.arange(100) % 2

    # Two users: with a probability of ¼ each, a resample has only one of them.
    assert intervals({"mean": mean_of(gains)}, together)["mean"] == (0.0, 1.0)
    low, high = intervals({"mean": mean_of(gains)}, alone)["mean"] or (0, 0)
    # 0.5 ± 1.96 · √(0.25 / 100)
    assert [low, high] == pytest.approx([0.402, 0.598], abs=0.02)


def test_an_interval_is_deterministic() -> None:
    figures = {"mean": mean_of(np.linspace(0, 1, 30))}

    assert intervals(figures, np.arange(30)) == intervals(figures, np.arange(30))


def test_one_user_has_a_zero_width_interval_and_no_users_have_none() -> None:
    assert intervals({"mean": mean_of(np.array([0.0, 1.0]))}, np.zeros(2, np.int64)) == {
        "mean": (0.5, 0.5)
    }
    assert intervals({"mean": mean_of(np.empty(0))}, np.empty(0, np.int64)) == {"mean": None}


@given(PAIRS)
def test_with_equal_weights_the_figures_equal_the_metrics(
    pairs: list[tuple[int, float]],
) -> None:
    labels, chances = np.array([y for y, _ in pairs]), np.array([p for _, p in pairs])
    ones = np.ones(len(pairs))

    assert auc_of(labels, chances)(ones) == pytest.approx(metrics.auc(labels, chances))
    assert ece_of(labels, chances, 10)(ones) == pytest.approx(
        metrics.expected_calibration_error(labels, chances, 10)
    )


@given(PAIRS, st.data())
def test_a_weight_of_two_equals_a_repeated_question(
    pairs: list[tuple[int, float]], data: st.DataObject
) -> None:
    counts = data.draw(st.lists(st.integers(0, 3), min_size=len(pairs), max_size=len(pairs)))
    labels, chances = np.array([y for y, _ in pairs]), np.array([p for _, p in pairs])
    weights = np.array(counts, dtype=np.float64)

    found = auc_of(labels, chances)(weights)
    assert found == pytest.approx(
        metrics.auc(np.repeat(labels, counts), np.repeat(chances, counts))
    )
