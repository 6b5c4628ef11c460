"""The engine benchmark's arithmetic: rates, ratios and the synthetic log."""

import json
from collections import Counter

import pytest

from benchmarks.engine import ratios, table
from benchmarks.events import make, partition_of
from benchmarks.measure import Run, Sample


def run(engine: str, rate: float, outputs: int = 100) -> Run:
    return Run(engine, 100, outputs, 1.0, rate, rate * 2, 1_000_000 / rate)


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


def test_ratios_are_of_medians_and_show_the_spread_of_the_rounds() -> None:
    runs = [run("Lately", rate) for rate in (100.0, 300.0, 200.0)]
    runs += [run("Quix Streams", rate) for rate in (50.0, 100.0, 200.0)]
    runs += [run("stock Faust", 10.0) for _ in range(3)]

    found = ratios(runs)

    assert found["Quix Streams"].rate == pytest.approx(200 / 100)
    assert found["Quix Streams"].cpu_us == pytest.approx(200 / 100)
    assert found["Quix Streams"].lowest == pytest.approx(200 / 200)
    assert found["Quix Streams"].highest == pytest.approx(300 / 100)
    assert found["stock Faust"].rate == pytest.approx(200 / 10)


def test_the_table_shows_outputs_and_events() -> None:
    runs = [run("Lately", 100.0), run("Quix Streams", 50.0), run("stock Faust", 10.0, outputs=99)]

    lines = list(table(runs))

    assert lines[3].split()[-2:] == ["100", "99"]
