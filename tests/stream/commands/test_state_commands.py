"""`lately state` against a broker: get, verify and rebuild."""

import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import structlog

from stream.storage.store import StateStore
from stream.user_state import Rules, UserState
from tests.stream.commands.shop import Record, Shop
from tests.stream.fakes import event

RULES = Rules(50, 64, 3_600_000, 300_000, 86_400_000)
AS_OF_MS = 1_790_000_000_000
Change = tuple[bytes, bytes | None]


def state(*items: str, offset: int = 6) -> bytes:
    """A user who clicked these items a second apart, the last one at ``offset``."""
    user = UserState()
    for n, item in enumerate(items):
        back = len(items) - 1 - n
        user.apply(event(offset - back, AS_OF_MS - 1000 * back, item=item), RULES)
    return user.to_bytes()


def marker(offset: int) -> bytes:
    user = UserState()
    user.apply(event(offset, action="forget"), RULES)
    return user.to_bytes()


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def state_dir(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty state directory of a stopped worker."""
    monkeypatch.setenv("LATELY_STATE_DIR", str(tmp_path))
    folder = tmp_path / shop.settings.group
    folder.mkdir()
    return folder


def on_disk(folder: Path, partition: int, changes: Sequence[Change], offset: int) -> None:
    """Write a partition as a worker leaves it, up to a changelog offset."""
    store = StateStore(folder, lambda cause: None)
    store.open(partition)
    store.mark_complete(partition, following=True)
    store.write(partition, changes, offset)
    store.close_all()


def in_changelog(shop: Shop, partition: int, *changes: Change) -> None:
    records = [Record(key, value, partition) for key, value in changes]
    shop.write(shop.settings.changelog_topic, *records)


# --- get -----------------------------------------------------------------------------------------


def test_get_shows_the_users_actions_with_their_times(shop: Shop, state_dir: Path) -> None:
    on_disk(state_dir, 0, [(b"bob", state("i1"))], 0)
    on_disk(state_dir, 2, [(b"ann", state("i7", "i8", offset=41))], 5)

    result = shop.lately("state", "get", "ann")
    answer = shop.lately("state", "get", "ann", "--json").json

    head, *lines = result.out.splitlines()
    assert result.code == 0
    assert head.startswith("2 actions in partition 2, events up to offset 41; the newest event is ")
    # 1 790 000 000 s after 1970 is the afternoon of 21 September 2026.
    assert lines == [
        "2026-09-21 14:13:19.000+00:00  click     i7",
        "2026-09-21 14:13:20.000+00:00  click     i8",
    ]
    assert answer["events"] == [
        {"item_id": "i7", "action": "click", "ts": AS_OF_MS - 1000, "category": None},
        {"item_id": "i8", "action": "click", "ts": AS_OF_MS, "category": None},
    ]
    assert (answer["partition"], answer["applied_offset"], answer["n_events"]) == (2, 41, 2)
    assert (answer["as_of"], answer["forgotten"]) == (AS_OF_MS, False)


def test_get_shows_the_category_that_an_event_gave_its_item(shop: Shop, state_dir: Path) -> None:
    user = UserState.from_bytes(state("i7", "i8", offset=41))
    user.category_names, user.category_indices = ("lamps",), b"\0\1"
    on_disk(state_dir, 2, [(b"ann", user.to_bytes())], 5)

    lines = shop.lately("state", "get", "ann").out.splitlines()
    answer = shop.lately("state", "get", "ann", "--json").json

    assert [line.split("  ", 2)[2] for line in lines[1:]] == ["   i7", "   i8  (lamps)"]
    assert [event["category"] for event in answer["events"]] == [None, "lamps"]


def test_get_computes_the_age_by_the_local_clock_and_never_below_zero(
    shop: Shop, state_dir: Path
) -> None:
    now_ms = time.time_ns() // 1_000_000
    for number, at_ms in enumerate((now_ms - 3_000_000, now_ms + 3_000_000)):
        user = UserState()
        user.apply(event(0, at_ms), RULES)
        on_disk(state_dir, number, [(b"u%d" % number, user.to_bytes())], 0)

    old = shop.lately("state", "get", "u0", "--json").json
    ahead = shop.lately("state", "get", "u1", "--json").json

    assert 3_000 <= old["age_s"] < 3_600
    assert ahead["age_s"] == 0


def test_get_of_a_forgotten_user_shows_the_marker_without_an_age(
    shop: Shop, state_dir: Path
) -> None:
    on_disk(state_dir, 1, [(b"ann", marker(12))], 5)

    result = shop.lately("state", "get", "ann")
    answer = shop.lately("state", "get", "ann", "--json").json

    assert result.out.startswith("forgotten: partition 1, events up to offset 12")
    assert result.out.count("\n") == 1
    assert (answer["forgotten"], answer["age_s"], answer["events"]) == (True, None, [])


def test_get_shows_every_partition_that_holds_the_user_the_latest_actions_first(
    shop: Shop, state_dir: Path
) -> None:
    # Producers with different partitioners, and a forget that reached one partition alone.
    earlier = UserState()
    earlier.apply(event(3, AS_OF_MS - 60_000, item="i1"), RULES)
    on_disk(state_dir, 0, [(b"ann", marker(12))], 5)
    on_disk(state_dir, 1, [(b"ann", earlier.to_bytes())], 5)
    on_disk(state_dir, 2, [(b"ann", state("i7", "i8"))], 5)

    result = shop.lately("state", "get", "ann")
    answer = shop.lately("state", "get", "ann", "--json").json

    heads = [line.split(",")[0] for line in result.out.splitlines() if "partition" in line]
    assert heads == [
        "2 actions in partition 2",
        "1 actions in partition 1",
        "forgotten: partition 0",
    ]
    assert (answer["partition"], answer["n_events"]) == (2, 2)
    assert [(other["partition"], other["forgotten"]) for other in answer["others"]] == [
        (1, False),
        (0, True),
    ]


def test_get_of_an_unknown_user_fails_in_one_line(shop: Shop, state_dir: Path) -> None:
    on_disk(state_dir, 0, [(b"ann", state("i1"))], 0)

    result = shop.lately("state", "get", "bob")

    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert str(state_dir) in result.err and "bob" not in result.err


# --- verify --------------------------------------------------------------------------------------


def verify(shop: Shop) -> tuple[int, dict[int, dict[str, Any]]]:
    result = shop.lately("state", "verify", "--json")
    rows = {row["partition"]: row for row in result.json["partitions"]}
    assert result.json["fits"] == all(row["fits"] for row in rows.values()) == (result.code == 0)
    return result.code, rows


def test_verify_passes_a_matching_state_and_shows_its_offset(shop: Shop, state_dir: Path) -> None:
    shop.create()
    changes: list[Change] = [(b"ann", state("i1")), (b"bob", state("i2")), (b"zoe", None)]
    in_changelog(shop, 1, *changes, (b"ann", state("i1", "i3", offset=9)))
    on_disk(state_dir, 1, changes, 2)  # stopped before the last record
    on_disk(state_dir, 2, [], 0)

    in_changelog(shop, 2, (b"eve", None))
    code, rows = verify(shop)
    result = shop.lately("state", "verify")

    assert code == 0 and set(rows) == {1, 2}
    assert (rows[1]["offset"], rows[1]["end"], rows[1]["equal"]) == (2, 4, 2)
    assert result.code == 0
    table = [line.split() for line in result.out.splitlines()]
    assert [line[-1] for line in table] == ["verdict", "fits", "fits"]


def test_verify_counts_each_kind_of_difference_and_names_the_fix(
    shop: Shop, state_dir: Path
) -> None:
    shop.create()
    for partition in range(3):
        in_changelog(shop, partition, (b"ann", state("i1")), (b"bob", state("i2")))
    ann, bob = (b"ann", state("i1")), (b"bob", state("i2"))
    on_disk(state_dir, 0, [ann, bob], 1)
    on_disk(state_dir, 1, [ann, (b"eve", state("i3"))], 1)
    on_disk(state_dir, 2, [ann, (b"bob", state("i9"))], 1)

    code, rows = verify(shop)
    result = shop.lately("state", "verify")

    assert code == 1
    assert rows[0]["fits"]
    assert (rows[1]["equal"], rows[1]["missing"], rows[1]["extra"]) == (1, 1, 1)
    assert (rows[2]["equal"], rows[2]["differ"]) == (1, 1)
    assert result.code == 1
    assert "`lately state rebuild -p 1 -p 2`" in result.out.splitlines()[-1]


def test_verify_reports_a_damaged_partition_and_checks_the_others(
    shop: Shop, state_dir: Path
) -> None:
    shop.create()
    for partition in (0, 1):
        in_changelog(shop, partition, (b"ann", state("i1")))
        on_disk(state_dir, partition, [(b"ann", state("i1"))], 0)
    (state_dir / "partition-0" / "CURRENT").write_text("nothing\n")

    code, rows = verify(shop)

    assert (code, bool(rows[0]["damage"]), rows[1]["fits"]) == (1, True, True)


@pytest.mark.parametrize("command", ["verify", "rebuild"])
def test_state_in_use_by_a_worker_is_left_alone(shop: Shop, state_dir: Path, command: str) -> None:
    shop.create()
    on_disk(state_dir, 0, [(b"ann", state("i1"))], 0)
    worker = StateStore(state_dir, lambda cause: None)
    worker.lock()
    try:
        result = shop.lately("state", command)
    finally:
        worker.close_all()

    assert (result.code, result.out, result.err.count("\n")) == (1, "", 1)
    assert "another worker uses it" in result.err
    assert shop.lately("state", "get", "ann").code == 0


@pytest.mark.parametrize("command", ["verify", "rebuild"])
def test_missing_state_fails_in_one_line_and_creates_nothing(
    shop: Shop, state_dir: Path, command: str
) -> None:
    shop.create()

    empty = shop.lately("state", command)
    state_dir.joinpath("lock").unlink()
    state_dir.rmdir()
    nowhere = shop.lately("state", command)

    assert (empty.code, nowhere.code) == (1, 1)
    assert "holds no state" in empty.err and "no such folder" in nowhere.err
    assert not state_dir.exists()  # looking does not create it


# --- rebuild -------------------------------------------------------------------------------------


def test_rebuild_restores_exactly_what_the_changelog_has(shop: Shop, state_dir: Path) -> None:
    shop.create()
    for partition in (0, 1):
        in_changelog(shop, partition, (b"ann", state("i1")), (b"bob", state("i2")), (b"ann", None))
        on_disk(state_dir, partition, [(b"eve", state("i9"))], 2)

    result = shop.lately("state", "rebuild", "--json")

    rows = result.json["partitions"]
    assert result.code == 0, result.err
    assert [(row["partition"], row["users"]) for row in rows] == [(0, 1), (1, 1)]
    assert all(0 <= row["took_s"] < 120 for row in rows)
    code, verified = verify(shop)
    assert code == 0
    assert {row["equal"] for row in verified.values()} == {1}
    assert shop.lately("state", "get", "eve").code == 1


def test_rebuild_touches_only_the_given_partitions(shop: Shop, state_dir: Path) -> None:
    shop.create()
    for partition in range(3):
        in_changelog(shop, partition, (b"ann", state("i1")))
        on_disk(state_dir, partition, [(b"eve", state("i9"))], 0)

    result = shop.lately("state", "rebuild", "-p", "2", "-p", "1", "-p", "2")

    assert [line.rsplit(",", 1)[0] for line in result.out.splitlines()] == [
        "partition 1: 1 users",
        "partition 2: 1 users",
    ]
    code, rows = verify(shop)
    assert (code, [number for number, row in rows.items() if not row["fits"]]) == (1, [0])


def test_rebuild_of_an_unknown_partition_wipes_nothing(shop: Shop, state_dir: Path) -> None:
    shop.create()
    in_changelog(shop, 0, (b"ann", state("i1")))
    on_disk(state_dir, 0, [(b"eve", state("i9"))], 0)

    result = shop.lately("state", "rebuild", "-p", "0", "-p", "3")

    assert result.code == 1
    assert "has no partition 3, only 0 to 2" in result.err
    assert shop.lately("state", "get", "eve").code == 0
