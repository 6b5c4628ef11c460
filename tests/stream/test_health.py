"""Liveness is the heartbeat, readiness is every condition."""

from typing import get_args

from stream.health import Condition, Health


def ready_health() -> Health:
    health = Health(now_s=0.0)
    for condition in get_args(Condition):
        health.set_ok(condition)
    return health


def test_a_loop_that_beat_ten_seconds_ago_is_alive_and_a_moment_later_dead() -> None:
    health = Health(now_s=0.0)
    health.beat(100.0)

    assert health.live(110.0)[0]
    assert not health.live(110.1)[0]


def test_a_worker_that_never_beat_dies_ten_seconds_after_its_start() -> None:
    health = Health(now_s=50.0)

    assert health.live(60.0)[0]
    assert not health.live(61.0)[0]


def test_a_new_worker_is_not_ready_for_five_reasons() -> None:
    ready, reasons = Health(now_s=0.0).ready()

    assert not ready
    assert list(reasons) == ["worker", "broker", "partitions", "state", "model"]


def test_one_condition_that_fails_is_enough_and_says_why() -> None:
    health = ready_health()
    health.set_failed("broker", "no commit for 17 s")

    assert health.ready() == (False, {"broker": "no commit for 17 s"})


def test_a_condition_that_holds_again_makes_ready_again() -> None:
    health = ready_health()
    health.set_failed("broker", "no commit for 17 s")
    health.set_ok("broker")

    assert health.ready() == (True, {})


def test_readiness_does_not_hang_on_the_heartbeat_nor_liveness_on_the_broker() -> None:
    health = ready_health()
    health.beat(0.0)

    assert not health.live(1_000.0)[0]
    assert health.ready()[0]
