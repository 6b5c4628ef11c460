"""The engine benchmark's arithmetic: rates, ratios and the synthetic log."""

import json
from collections import Counter

import pytest

from benchmarks.engines import FOLDED_AT_ONCE, pending_users
from benchmarks.events import make, partition_of
from benchmarks.measure import Run, Sample
from benchmarks.workloads import FULL, SHORT


def test_rates_count_from_the_release_and_steady_ones_from_the_first_output() -> None:
    samples = [
        Sample(10.0, outputs=50, committed=50),  # resumed; 50 of the warm-up are there
        Sample(10.5, outputs=150, committed=50),
        Sample(12.5, outputs=1_050, committed=800),
        Sample(13.0, outputs=1_050, committed=1_050),
    ]

    found = Run.of("Lately", 1_000, samples, ready=50, cpu_s=0.05)

    assert found.outputs == 1_050 - 50
    assert found.rate == pytest.approx(1_000 / (13.0 - 10.0))  # until all is committed
    assert found.steady_rate == pytest.approx((1_000 - 100) / (12.5 - 10.5))
    assert found.cpu_us == pytest.approx(0.05 / 1_000 * 1e6)


def test_merged_outputs_still_count_as_their_events() -> None:
    samples = [Sample(0.0, 0, 0), Sample(1.0, 100, 0), Sample(3.0, 500, 1_000)]

    found = Run.of("Lately", 1_000, samples, ready=0, cpu_s=1.0)

    assert found.steady_rate == pytest.approx((500 - 100) / (3.0 - 1.0) * 1_000 / 500)


def test_no_user_repeats_before_all_others_had_an_event() -> None:
    keys = [key for key, _ in make(250, users=100)]

    assert len(set(keys[:100])) == len(set(keys[100:200])) == 100
    assert keys[:50] == keys[200:]


def test_the_first_zipf_users_have_the_most_events() -> None:
    counts = Counter(key for key, _ in make(2_000, users=100, shape="zipf"))

    assert counts.most_common(1)[0][0] == b"user-0000000"


def test_the_log_is_in_the_wire_contract_and_the_same_for_a_seed() -> None:
    key, value = make(1, users=1)[0]
    event = json.loads(value)

    assert key.decode() == event["user_id"]
    assert set(event) == {"event_id", "user_id", "item_id", "action", "ts"}
    assert make(50, users=7) == make(50, users=7)


def test_keys_go_to_the_partitions_of_kafkas_partitioner() -> None:
    # murmur2("foobar") is -790332482 in Kafka's own test; without the sign bit 1357151166.
    assert partition_of(b"foobar", 100) == 1_357_151_166 % 100


def test_a_workload_has_its_histories_before_the_clock_starts() -> None:
    log = FULL.log(200)

    assert log.users == 200 // FULL.per_user
    before = Counter(key for key, _ in log.before)
    assert set(before.values()) == {50} and len(before) == log.users
    assert len(log.measured) == 200


def test_a_share_of_the_log_is_a_share_of_the_users_with_as_many_events_each() -> None:
    log = SHORT.log(8_000, share=0.1)

    assert (log.users, len(log.before), len(log.measured)) == (100, 400, 800)


def test_the_states_of_a_log_are_the_last_fifty_actions() -> None:
    log = FULL.log(20)  # two users

    states = log.states()

    own = [
        json.loads(value) for key, value in (*log.before, *log.measured) if key == b"user-0000001"
    ]
    assert states["user-0000001"] == [(e["item_id"], e["action"], e["ts"]) for e in own[-50:]]
    assert len(own) == 60 and set(states) == {"user-0000000", "user-0000001"}


def test_so_few_users_may_wait_that_nobody_has_two_events_pending() -> None:
    assert pending_users(30_000, 4) == 5_000
    assert pending_users(12_000, 4) == 12_000 // 4 - FOLDED_AT_ONCE
    assert pending_users(2_000, 4) == 0
