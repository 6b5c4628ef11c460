"""Start, rebuild, catch-up and scale: what is computed from what was measured."""

from pathlib import Path

import pytest

from benchmarks import catch_up, half_load, rebuild, scale, start, two_workers
from benchmarks.events import partition_of
from benchmarks.latency import TICK_S, Load
from stream.storage.store import StateStore
from stream.user_state import UserState


def test_every_kind_of_start_has_its_median() -> None:
    found = [
        start.Measured(after, ready_s)
        for after in ("stopped", "killed", "disk lost")
        for ready_s in (1.0, 3.0, 1.5)
    ]

    lines = list(start.table(found))

    assert [line.split()[-3:] for line in lines[1:]] == [["1.50", "1.00", "3.00"]] * 3


def test_a_rebuild_is_what_an_output_takes_longer_without_the_disk() -> None:
    found = [
        rebuild.Start("Lately", 100, "kept", 1.5),
        rebuild.Start("Lately", 100, "lost", 2.0),
        rebuild.Start("stock Faust", 100, "kept", 4.0),
        rebuild.Start("stock Faust", 100, "lost", 24.0),
    ]

    assert rebuild.rebuild_s(found, "Lately") == pytest.approx(2.0 - 1.5)
    assert list(rebuild.table(found))[-1].split()[-2] == f"{20 / 0.5:.1f}"


def test_a_catch_up_is_compared_with_the_live_rate() -> None:
    # In 2 s it did what comes live in 30 s, and in the 2 s meanwhile.
    caught_up = catch_up.CaughtUp(per_s=1_000, missed=30_000, catch_up_s=2.0, events=32_000)

    assert caught_up.times_live == 32_000 / 2.0 / 1_000


def test_two_workers_are_compared_with_one_in_the_same_round() -> None:
    found = [two_workers.Run(1 + n % 2, 10, rate, 5.0) for n, rate in enumerate((100, 150, 50, 90))]

    assert list(two_workers.table(found))[-1].endswith("in rounds 1.50 to 1.80")


def test_arrivals_come_at_the_ticks_and_at_the_rate_of_the_load() -> None:
    clicks = list(half_load.arrivals(Load("even", 100, 7), seconds=1.0))

    assert len(clicks) == 100
    assert {round(at_s / TICK_S, 6).is_integer() for at_s, _ in clicks} == {True}
    assert {shopper for _, shopper in clicks} <= set(range(7))


def test_the_bound_is_deadline_and_service_and_twenty_milliseconds() -> None:
    row = half_load.Measured(25, 1_000, 4.0, 9.0, 40.0, 60.0, 12.0, 30.0)

    assert row.bound_ms == 25 + 4.0 + 20


def test_the_disk_is_filled_with_users_where_kafka_places_them(tmp_path: Path) -> None:
    scale.fill(tmp_path / "state", users=300, partitions=4)

    store = StateStore(tmp_path / "state", lambda _: None)
    for partition in range(4):
        store.open(partition)
    found = {p: dict(store.users(p)) for p in range(4)}
    offsets = {store.changelog_offset(p) for p in range(4)}
    store.close_all()
    assert sorted(key for users in found.values() for key in users) == [
        scale.key_of(number) for number in range(300)
    ]
    assert all(partition_of(key, 4) == p for p, users in found.items() for key in users)
    state = UserState.from_bytes(found[0].popitem()[1])
    assert (len(state.items), state.applied_offset) == (scale.ACTIONS, -1)
    assert offsets == {-1}


def test_the_cost_of_the_most_users_is_compared_with_that_of_the_fewest() -> None:
    found = [
        scale.Scaled("uniform", 10_000, 100, 1e5, 10.0, 10**8, 10**6),
        scale.Scaled("zipf", 10_000, 100, 1e5, 8.0, 10**8, 10**6),
        scale.Scaled("uniform", 10_000_000, 100, 1e5, 12.5, 10**8, 10**9),
        scale.Scaled("zipf", 10_000_000, 100, 1e5, 9.0, 10**8, 10**9),
    ]

    uniform, zipf = list(scale.table(found))[-2:]

    assert (uniform.split()[-2], zipf.split()[-2]) == (f"{12.5 / 10:.2f}", f"{9 / 8:.2f}")


@pytest.mark.parametrize(("shape", "distinct"), [("uniform", (900, 1000)), ("zipf", (10, 600))])
def test_the_events_of_a_shop_are_of_fewer_users(
    shape: scale.Shape, distinct: tuple[int, int]
) -> None:
    records = scale.make(1_000, users=100_000, shape=shape)

    least, most = distinct
    assert least <= len({key for key, _ in records}) <= most
