import pytest

from benchmarks.deadlines import BATCH_S, USER_S, clicks, simulate
from stream.pipeline.batcher import BatchPolicy

POLICY = BatchPolicy(close_users=3, max_users=10, deadline_s=0.2)


def test_one_click_waits_for_the_deadline_and_its_service() -> None:
    outcome = simulate([(1.0, 7)], POLICY)

    assert outcome.mean_s == pytest.approx(0.2 + BATCH_S + USER_S)
    assert outcome.scores_per_event == 1


def test_clicks_of_one_shopper_share_a_score() -> None:
    outcome = simulate([(1.0, 7), (1.1, 7)], POLICY)

    # Both are out 0.2 s after the first, which the second came 0.1 s after.
    assert outcome.mean_s == pytest.approx((0.2 + 0.1) / 2 + BATCH_S + USER_S)
    assert outcome.scores_per_event == 1 / 2


def test_a_full_batch_waits_no_longer() -> None:
    outcome = simulate([(1.0, 1), (1.0, 2), (1.1, 3)], POLICY)

    # It is full at 1.1 s, a tenth of a second after its first two.
    assert outcome.p99_s == pytest.approx(0.1 + BATCH_S + 3 * USER_S)
    assert outcome.mean_s == pytest.approx(0.1 * 2 / 3 + BATCH_S + 3 * USER_S)


def test_clicks_during_a_batch_are_in_the_next_one() -> None:
    policy = BatchPolicy(close_users=1, max_users=10, deadline_s=0.0)
    second_s = 1.0 + BATCH_S / 2

    outcome = simulate([(1.0, 1), (second_s, 2)], policy)

    service_s = BATCH_S + USER_S
    assert outcome.mean_s == pytest.approx((service_s + (2 * service_s - BATCH_S / 2)) / 2)


def test_clicks_have_the_requested_rate() -> None:
    found = list(clicks(per_s=1000, seconds=10, seed=1))

    assert len(found) == pytest.approx(1000 * 10, rel=0.05)
    assert found == sorted(found)
