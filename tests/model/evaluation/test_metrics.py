from math import log, log2

import pytest

from model.evaluation.metrics import (
    auc,
    average_precision,
    best_threshold,
    decision_figures,
    expected_calibration_error,
    intent_figures,
    item_figures,
    log_loss,
    mrr_at,
    ndcg_at,
    recall_at,
)


@pytest.mark.parametrize(
    ("rank", "k", "expected"),
    [
        (1, 10, 1.0),
        (3, 10, 1 / log2(3 + 1)),
        (10, 10, 1 / log2(10 + 1)),
        (11, 10, 0.0),  # outside the cut-off
        (0, 10, 0.0),  # not ranked at all
    ],
)
def test_ndcg_of_one_relevant_item(rank: int, k: int, expected: float) -> None:
    assert ndcg_at(rank, k) == pytest.approx(expected)


def test_recall_is_the_share_of_ranks_within_the_cutoff() -> None:
    assert recall_at([1, 20, 21, 0], 20) == 2 / 4


def test_mrr_is_the_mean_of_one_over_the_rank() -> None:
    assert mrr_at([1, 2, 5, 0], 4) == pytest.approx((1 + 1 / 2 + 0 + 0) / 4)


def test_no_ranks_give_zero() -> None:
    assert (recall_at([], 5), ndcg_at([], 5), mrr_at([], 5)) == (0, 0, 0)
    assert item_figures([])["n"] == 0


def test_auc_is_the_share_of_pairs_in_the_right_order() -> None:
    # positive: .8, .3; negative: .5, .3. Pairs: .8>.5, .8>.3, .3<.5, .3=.3 (half)
    assert auc([1, 0, 1, 0], [0.8, 0.5, 0.3, 0.3]) == pytest.approx((1 + 1 + 0 + 1 / 2) / 4)


def test_average_precision_steps_down_the_ranking() -> None:
    # best first: positive, negative, positive → precision 1/1 at the first positive, 2/3 at the
    # second
    assert average_precision([1, 0, 1], [0.9, 0.5, 0.1]) == pytest.approx((1 / 1 + 2 / 3) / 2)


def test_log_loss_is_the_mean_negative_log_probability() -> None:
    assert log_loss([1, 0], [0.8, 0.4]) == pytest.approx(-(log(0.8) + log(1 - 0.4)) / 2)


def test_ece_weights_the_gap_of_each_bin_by_its_size() -> None:
    labels = [0, 1, 1, 1]
    probabilities = [0.2, 0.4, 0.6, 0.8]

    first = abs((0 + 1) / 2 - (0.2 + 0.4) / 2) * 2 / 4
    second = abs((1 + 1) / 2 - (0.6 + 0.8) / 2) * 2 / 4
    assert expected_calibration_error(labels, probabilities, bins=2) == pytest.approx(
        first + second
    )


def test_one_class_has_no_auc_and_no_answers_have_no_metrics() -> None:
    assert auc([1, 1], [0.1, 0.2]) is None
    assert average_precision([0, 0], [0.1, 0.2]) is None
    assert log_loss([], []) is None
    assert expected_calibration_error([], []) is None


def test_censored_labels_are_ignored() -> None:
    assert intent_figures([1, -1, 0], [0.9, 0.9, 0.1]) == intent_figures([1, 0], [0.9, 0.1])


def test_the_best_threshold_has_the_best_f1() -> None:
    labels, chances = [0, 1, 0, 1, -1], [0.1, 0.4, 0.5, 0.8, 0.9]

    # from .4 on: 2 of 3 right, both found: F1 4/5; from .8 on: 1 of 1, one found: 2/3
    assert best_threshold(labels, chances) == 0.4
    assert decision_figures(labels, chances, 0.4)["f1"] == pytest.approx(2 * 2 / (3 + 2))
    assert best_threshold([0, 0], [0.1, 0.2]) is None


def test_decisions_are_counted_from_the_threshold_on() -> None:
    assert decision_figures([1, 0, 1, 0, -1], [0.5, 0.5, 0.2, 0.1, 0.9], 0.5) == {
        "threshold": 0.5,
        "accuracy": 2 / 4,
        "precision": 1 / 2,
        "recall": 1 / 2,
        "f1": 2 / (2 + 2),
    }
    assert decision_figures([0], [0.1], 0.5)["precision"] is None
