"""What a process's memory, descriptors and threads come to over an hour."""

import os
from pathlib import Path

import pytest

from tests.chaos.vitals import Vital, Vitals, slope, trend
from tests.kafka.process import wait_until

MB = 1_000_000


def test_a_slope_is_that_of_the_line_through_the_points() -> None:
    assert slope([0, 1, 2, 3], [5, 7, 9, 11]) == pytest.approx(2)


def test_a_trend_leaves_the_warm_up_out() -> None:
    # 100 MB in the first minute, then 0.5 MB, two descriptors and a thread more each minute.
    warm = [Vital(60.0 * n, (200 + n) * MB // 2, 10 + 2 * n, 5 + n, n) for n in range(1, 11)]
    found = trend([Vital(0.0, 0, 0, 0, 0), *warm], warm_up_s=60)

    assert found is not None
    assert tuple(found) == pytest.approx((9.0, 105.0, 0.5, 120, 60, 10))


def test_what_comes_and_goes_is_no_leak_and_what_stays_is() -> None:
    # Ten descriptors more or fewer now and then; a thread more every ten minutes, six an hour.
    moments = {0: -10, 3: 10}
    samples = [
        Vital(10.0 * n, MB, 20 + moments.get(n % 7, 0), 9 + n // 60, n) for n in range(1, 360)
    ]
    found = trend(samples, warm_up_s=0)

    assert found is not None
    assert found.descriptors_per_hour == 0
    assert found.threads_per_hour == pytest.approx(6, abs=0.5)


def test_nothing_is_said_of_a_process_that_did_not_outlive_its_warm_up() -> None:
    assert trend([Vital(0.0, 1, 1, 1, 1), Vital(2.0, 1, 1, 1, 1)], warm_up_s=60) is None
    assert trend([], warm_up_s=60) is None


def test_a_living_process_is_looked_at(tmp_path: Path) -> None:
    with (tmp_path / "000007.sst").open("wb"):
        vitals = Vitals(os.getpid(), tmp_path)
        try:
            assert wait_until(lambda: bool(vitals.samples), 30)
        finally:
            vitals.close()
    seen = vitals.samples[0]
    assert seen.store == 1
    assert seen.rss_bytes > MB
    assert min(seen.descriptors, seen.threads) > 0
