"""Recovery: the disk comes up to its changelog, from where it was, or from the start if it must."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import OffsetOutOfRangeError
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.kafka.producer import Record
from stream.storage import recovery as recovery_module
from stream.storage.recovery import Recovery, newest
from stream.storage.store import StateStore
from stream.user_state import UnknownFormat, UserState
from tests.stream.fakes import ManualPublisher


class Change(NamedTuple):
    """A record of the changelog."""

    offset: int
    key: bytes
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


class Changelog:
    """A compacted topic: per partition its records, with gaps, from some offset to an end."""

    def __init__(self) -> None:
        self.records: dict[int, list[Change]] = {}
        self.starts: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        self.per_fetch = 2
        self.reads: list[tuple[int, int]] = []  # partition, offset: where reading began

    def write(self, partition: int, *changes: Change, end: int | None = None) -> None:
        """Fill a partition; its end may lie behind the last record that compaction left."""
        self.records[partition] = list(changes)
        self.ends[partition] = changes[-1].offset + 1 if end is None else end


class FakeConsumer:
    """What Recovery uses of the client's consumer: assign, seek, fetch, ends."""

    changelog: Changelog
    stopped = 0

    def __init__(self, **options: Any) -> None:
        assert options["auto_offset_reset"] == "none"
        assert not options["enable_auto_commit"]
        self._positions: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        """Nothing to start."""

    async def stop(self) -> None:
        type(self).stopped += 1

    def assign(self, partitions: set[TopicPartition]) -> None:
        self._positions = dict.fromkeys(partitions, -1)

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._positions[tp] = offset
        self.changelog.reads.append((tp.partition, offset))

    async def seek_to_beginning(self, tp: TopicPartition) -> None:
        self.seek(tp, self.changelog.starts.get(tp.partition, 0))

    async def getmany(
        self, *partitions: TopicPartition, timeout_ms: int
    ) -> dict[TopicPartition, list[Change]]:
        await asyncio.sleep(0)
        fetched, log = {}, self.changelog
        for tp in partitions:  # first of all: an error of aiokafka loses nothing of the others
            start, end = log.starts.get(tp.partition, 0), log.ends.get(tp.partition, 0)
            if not start <= self._positions[tp] <= end:
                raise OffsetOutOfRangeError({tp: self._positions[tp]})
        for tp in partitions:
            position, end = self._positions[tp], log.ends.get(tp.partition, 0)
            self._ends[tp] = end
            records = log.records.get(tp.partition, [])
            news = [record for record in records if record.offset >= position]
            fetched[tp] = news[: log.per_fetch]
            rest = news[log.per_fetch :]
            self._positions[tp] = rest[0].offset if rest else end
        return {tp: records for tp, records in fetched.items() if records}

    def highwater(self, tp: TopicPartition) -> int | None:
        return self._ends.get(tp)

    async def position(self, tp: TopicPartition) -> int:
        return self._positions[tp]


@pytest.fixture
def changelog(monkeypatch: pytest.MonkeyPatch) -> Changelog:
    changelog = Changelog()
    monkeypatch.setattr(FakeConsumer, "changelog", changelog, raising=False)
    monkeypatch.setattr(FakeConsumer, "stopped", 0)
    monkeypatch.setattr(recovery_module, "LenientConsumer", FakeConsumer)
    return changelog


@pytest.fixture
def causes() -> list[str]:
    return []


@pytest.fixture
def store(tmp_path: Path, causes: list[str]) -> Iterator[StateStore]:
    store = StateStore(tmp_path, causes.append)
    yield store
    store.close_all()


def recover(store: StateStore, *partitions: int) -> list[float]:
    took_s: list[float] = []
    asyncio.run(Recovery(store, "changelog", {}, took_s.append, None).recover(partitions))
    return took_s


def state(offset: int, item: str = "i") -> bytes:
    """A user's value that has come to this offset of the source."""
    user = UserState()
    user.applied_offset, user.items, user.times_ms = offset, [item], [offset]
    user.action_types, user.actions = ["click"], bytearray([0])
    return user.to_bytes()


def with_category(offset: int) -> bytes:
    """The same, whose event named a category."""
    user = UserState.from_bytes(state(offset))
    user.category_names, user.category_indices = ("shoes",), b"\1"
    return user.to_bytes()


def marker(offset: int) -> bytes:
    """What stays of who was forgotten at this offset."""
    user = UserState()
    user.applied_offset, user.forgotten = offset, True
    return user.to_bytes()


def mended(store: StateStore) -> list[Record]:
    """What recovery writes into the changelog, before it is done."""

    async def mend() -> list[Record]:
        publisher = ManualPublisher()
        recovery = Recovery(store, "changelog", {}, lambda took_s: None, publisher)
        task = asyncio.create_task(recovery.recover([0]))
        while not publisher.unanswered("changelog"):
            await asyncio.sleep(0)
        assert not task.done()  # the partition is not ours to work on before
        (sent,) = publisher.unanswered("changelog")
        sent.acknowledge()
        await task
        return sent.records

    return asyncio.run(mend())


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_record_of_less_of_the_log_came_too_late_and_does_not_count(
    store: StateStore, changelog: Changelog, on_disk: bool
) -> None:
    # Across fetches (two records each) as within one, and against what is on disk.
    records = [
        *(Change(0, b"u1", state(70_000)), Change(1, b"u2", state(8))),
        *(Change(2, b"u1", state(300)), Change(3, b"u2", state(9))),
        *(Change(4, b"u3", state(5)), Change(5, b"u3", state(4))),
    ]
    if on_disk:
        changelog.write(0, *records[:2])
        recover(store, 0)
        store.close(0)
    changelog.write(0, *records)

    recover(store, 0)

    assert dict(store.users(0)) == {b"u1": state(70_000), b"u2": state(9), b"u3": state(5)}


def test_what_came_too_late_is_mended_in_the_changelog(
    store: StateStore, changelog: Changelog
) -> None:
    changelog.write(
        0,
        *(Change(0, b"u1", state(7)), Change(1, b"u2", state(8)), Change(2, b"u1", state(3))),
        *(Change(3, b"u2", state(5)), Change(4, b"u2", state(9))),
    )

    assert mended(store) == [(b"u1", state(7), [])]


def test_a_value_of_a_later_version_ends_the_recovery_before_an_older_value_counts(
    store: StateStore, changelog: Changelog
) -> None:
    # Version 3, and its offset is wherever version 3 has it.
    changelog.write(0, Change(0, b"u1", state(7)), Change(1, b"u1", b"\3\x9b\t"))

    with pytest.raises(UnknownFormat, match="state has format 03, this version reads 01 and 02"):
        recover(store, 0)

    assert dict(store.users(0)) == {}


def test_values_of_versions_1_and_2_are_told_apart_by_their_offsets_alone(
    store: StateStore, changelog: Changelog
) -> None:
    newer = with_category(9)
    changelog.write(
        0,
        *(Change(0, b"u1", state(7)), Change(1, b"u1", newer), Change(2, b"u1", state(8))),
        *(Change(3, b"u2", with_category(300)), Change(4, b"u2", state(301))),
    )

    assert mended(store) == [(b"u1", newer, [])]
    assert dict(store.users(0)) == {b"u1": newer, b"u2": state(301)}


def tombstone(place: int, key: bytes, reach: int) -> Change:
    """Of a forget at this offset of the source."""
    return Change(place, key, None, (("lately.applied_offset", b"%d" % reach),))


@pytest.mark.parametrize("per_fetch", [1, 2, 4])
@pytest.mark.parametrize("on_disk", [False, True])
def test_a_tombstone_that_comes_after_the_user_has_come_back_deletes_nobody(
    store: StateStore, changelog: Changelog, per_fetch: int, on_disk: bool
) -> None:
    # Forgotten at 9, back at 12; the tombstone of who owned the partition before comes at last.
    changelog.per_fetch = per_fetch
    records = [Change(0, b"u1", marker(9)), Change(1, b"u1", state(12)), tombstone(2, b"u1", 9)]
    if on_disk:
        changelog.write(0, *records[:2])
        recover(store, 0)
        store.close(0)
    changelog.write(0, *records)

    assert mended(store) == [(b"u1", state(12), [])]
    assert dict(store.users(0)) == {b"u1": state(12)}


def test_a_tombstone_counts_where_compaction_took_the_marker_away(
    store: StateStore, changelog: Changelog
) -> None:
    # The disk knows 7 and was away for the forget at 9. Of it only the tombstone is left.
    changelog.write(0, Change(0, b"u1", state(7)))
    recover(store, 0)
    store.close(0)
    changelog.write(0, tombstone(2, b"u1", 9))

    recover(store, 0)

    assert dict(store.users(0)) == {}


def test_behind_a_late_state_the_tombstone_is_written_again_with_its_offset(
    store: StateStore, changelog: Changelog
) -> None:
    changelog.write(0, tombstone(2, b"u1", 9), Change(3, b"u1", state(8)))

    assert mended(store) == [(b"u1", None, [("lately.applied_offset", b"9")])]
    assert dict(store.users(0)) == {}


@pytest.mark.parametrize("reach", [None, b"", b"-1", b"nine"])
def test_a_tombstone_that_does_not_say_its_offset_counts_where_it_stands(
    store: StateStore, changelog: Changelog, reach: bytes | None
) -> None:
    header = ("lately.applied_offset", reach)
    changelog.write(0, Change(0, b"u1", state(7)), Change(1, b"u1", None, (header,)))

    recover(store, 0)

    assert dict(store.users(0)) == {}


@pytest.mark.parametrize("per_fetch", [1, 2, 3, 4])
def test_a_state_that_comes_after_a_forgotten_users_tombstone_brings_nobody_back(
    store: StateStore, changelog: Changelog, per_fetch: int
) -> None:
    # The marker of the forget has come to 9; a worker that had lost the partition writes of 8.
    changelog.per_fetch = per_fetch
    changelog.write(
        0,
        *(Change(0, b"u1", state(7)), Change(1, b"u1", marker(9)), Change(2, b"u1", None)),
        *(Change(3, b"u1", state(8)), Change(4, b"u2", state(3))),
    )

    recover(store, 0)

    assert dict(store.users(0)) == {b"u2": state(3)}


HOUR_MS = 3_600_000


@pytest.mark.parametrize(
    ("away_hours", "brought_back"),
    [(0, True), (17.9, True), (18.1, False), (10_000, False)],
)
def test_a_disk_that_was_away_longer_than_tombstones_live_is_rebuilt(
    tmp_path: Path, changelog: Changelog, causes: list[str], away_hours: float, brought_back: bool
) -> None:
    # u1 was forgotten while the disk was away: of that the changelog shows nothing any more, once
    # a day has passed and the tombstone is compacted away. Three quarters of the day are safe.
    now_ms = 1_000_000_000_000
    store = StateStore(tmp_path, causes.append, lambda: now_ms)
    changelog.write(0, Change(0, b"u1", state(3)), Change(1, b"u2", state(4)))
    recover(store, 0)
    store.close_others(())
    changelog.write(0, Change(1, b"u2", state(4)), Change(3, b"u3", state(9)))
    now_ms += int(away_hours * HOUR_MS)

    recover(store, 0)

    users = dict(store.users(0))
    assert (b"u1" in users) is brought_back
    assert users[b"u3"] == state(9)
    assert causes == ([] if brought_back else ["old"])
    store.close_others(())


def test_a_recovery_that_is_cut_off_counts_from_when_it_began(
    tmp_path: Path, changelog: Changelog, causes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # What was forgotten since it began to read may be compacted away a day after that.
    now_ms = 1_000_000_000_000
    store = StateStore(tmp_path, causes.append, lambda: now_ms)
    changelog.write(0, *(Change(n, b"u%d" % n, state(n)) for n in range(6)))

    def cut_off_after(fetches: int, passed_hours: float) -> None:
        nonlocal now_ms
        now_ms += int(passed_hours * HOUR_MS)
        left = iter(range(fetches))
        write = store.write

        def full(*args: Any) -> None:
            if next(left, None) is None:
                raise OSError("cut off")
            write(*args)

        with monkeypatch.context() as patch:
            patch.setattr(store, "write", full)
            with pytest.raises(OSError, match="cut off"):
                recover(store, 0)
        store.close_others(())

    cut_off_after(1, passed_hours=0)
    cut_off_after(1, passed_hours=10)
    assert causes == []
    assert changelog.reads == [(0, 0), (0, 2)]
    now_ms += 10 * HOUR_MS

    recover(store, 0)

    assert causes == ["old"]
    assert changelog.reads == [(0, 0), (0, 2), (0, 0)]
    store.close_others(())


def test_a_partition_that_is_followed_stays_young_without_a_change(
    tmp_path: Path, changelog: Changelog, causes: list[str]
) -> None:
    now_ms = 1_000_000_000_000
    store = StateStore(tmp_path, causes.append, lambda: now_ms)
    changelog.write(0, Change(0, b"u1", state(3)))
    recover(store, 0)
    now_ms += 100 * HOUR_MS
    store.close_others(())
    now_ms += HOUR_MS

    recover(store, 0)

    assert causes == []
    store.close_all()


OFFSETS = st.integers(0, 1 << 40)


def change(place: int, key: bytes, offset: int) -> Change:
    """What a user comes to at this offset; at odd ones they are forgotten."""
    return tombstone(place, key, offset) if offset % 2 else Change(place, key, state(offset))


@given(st.lists(st.tuples(st.sampled_from([b"a", b"b"]), OFFSETS), max_size=30))
def test_whatever_the_order_the_furthest_record_counts(records: list[tuple[bytes, int]]) -> None:
    messages: Any = [change(place, key, offset) for place, (key, offset) in enumerate(records)]
    changes, stale = newest({b"a": 50}, messages)

    for key, start in ((b"a", 50), (b"b", -1)):
        offsets = [offset for name, offset in records if name == key]
        furthest = max([start, *offsets])
        assert changes.get(key, state(50)) == change(0, key, furthest).value or not offsets
        # Stale, when the last record is not the furthest: whoever reads only that is wrong.
        assert (key in stale) == bool(offsets and offsets[-1] < furthest)


def test_an_empty_disk_takes_the_last_value_of_each_user(
    store: StateStore, changelog: Changelog
) -> None:
    changelog.write(
        0,
        *(Change(0, b"u1", b"a"), Change(1, b"u2", b"b"), Change(2, b"u1", b"c")),
        *(Change(3, b"u3", b"d"), Change(4, b"u3", None)),
    )

    (took_s,) = recover(store, 0)

    assert dict(store.users(0)) == {b"u1": b"c", b"u2": b"b"}
    assert store.changelog_offset(0) == 4
    assert took_s >= 0
    assert FakeConsumer.stopped == 1


def test_a_disk_goes_on_after_the_last_change_that_it_has(
    store: StateStore, changelog: Changelog
) -> None:
    store.open(0)
    store.write(0, [(b"u1", b"a")], changelog_offset=6)
    store.mark_complete(0, following=True)
    changelog.write(0, Change(6, b"u1", b"old"), Change(7, b"u2", b"b"))

    recover(store, 0)

    assert changelog.reads == [(0, 7)]
    assert dict(store.users(0)) == {b"u1": b"a", b"u2": b"b"}


def test_an_empty_changelog_is_recovered_at_once(store: StateStore, changelog: Changelog) -> None:
    recover(store, 0, 1)

    assert list(store.users(0)) == list(store.users(1)) == []
    assert store.changelog_offset(0) is None


def test_nothing_is_read_when_nothing_is_ours(store: StateStore, changelog: Changelog) -> None:
    assert len(recover(store)) == 1
    assert FakeConsumer.stopped == 0


def test_an_end_that_compaction_left_no_record_before_is_reached(
    store: StateStore, changelog: Changelog
) -> None:
    changelog.write(0, Change(3, b"u1", b"a"), end=90)

    recover(store, 0)

    assert store.changelog_offset(0) == 3


def test_partitions_of_different_length_are_all_read_to_their_end(
    store: StateStore, changelog: Changelog
) -> None:
    changelog.write(0, *(Change(n, b"u%d" % n, b"a") for n in range(9)))
    changelog.write(1, Change(0, b"v", b"b"))

    recover(store, 0, 1, 2)

    assert len(dict(store.users(0))) == 9
    assert dict(store.users(1)) == {b"v": b"b"}


def test_a_disk_ahead_of_its_changelog_is_wiped_rebuilt_and_counted(
    store: StateStore, changelog: Changelog, causes: list[str]
) -> None:
    store.open(0)
    store.write(0, [(b"u1", b"of another topic")], changelog_offset=50)
    store.mark_complete(0, following=True)
    changelog.write(0, Change(0, b"u2", b"a"))

    recover(store, 0)

    assert causes == ["ahead"]
    assert dict(store.users(0)) == {b"u2": b"a"}
    assert store.changelog_offset(0) == 0


def test_a_changelog_that_no_longer_reaches_back_to_the_disk_is_read_from_its_start(
    store: StateStore, changelog: Changelog, causes: list[str]
) -> None:
    store.open(0)
    store.write(0, [(b"u1", b"gone since")], changelog_offset=5)
    store.mark_complete(0, following=True)
    changelog.write(0, Change(20, b"u2", b"a"))
    changelog.starts[0] = 20

    recover(store, 0)

    assert causes == ["ahead"]
    assert dict(store.users(0)) == {b"u2": b"a"}


def test_one_partition_that_starts_over_leaves_the_others_where_they_are(
    store: StateStore, changelog: Changelog, causes: list[str]
) -> None:
    for partition, offset in ((0, 50), (1, 2)):
        store.open(partition)
        store.write(partition, [(b"u1", b"disk")], changelog_offset=offset)
        store.mark_complete(partition, following=True)
    changelog.write(0, Change(0, b"u2", b"a"))
    changelog.write(1, Change(2, b"u1", b"disk"), Change(3, b"u3", b"b"))

    recover(store, 0, 1)

    assert causes == ["ahead"]
    assert dict(store.users(0)) == {b"u2": b"a"}
    assert dict(store.users(1)) == {b"u1": b"disk", b"u3": b"b"}


def test_the_consumer_is_stopped_when_recovery_breaks_off(
    store: StateStore, changelog: Changelog, monkeypatch: pytest.MonkeyPatch
) -> None:
    changelog.write(0, Change(0, b"u1", b"a"))

    def full(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(store, "write", full)

    with pytest.raises(OSError, match="no space"):
        recover(store, 0)
    assert FakeConsumer.stopped == 1


def test_a_partition_whose_tables_are_damaged_is_rebuilt_from_the_start(
    store: StateStore, changelog: Changelog, causes: list[str], tmp_path: Path
) -> None:
    store.open(0)
    store.write(0, [(b"u%d" % n, b"%d" % n * 50) for n in range(200)], changelog_offset=0)
    store._partitions[0].flush()
    store.close(0)
    for path in (tmp_path / "partition-0").glob("*.sst"):
        data = bytearray(path.read_bytes())
        data[20:60] = bytes(40)
        path.write_bytes(data)
    changelog.write(0, Change(0, b"u1", b"a"))

    recover(store, 0)

    assert causes == ["corrupt"]
    assert dict(store.users(0)) == {b"u1": b"a"}


changes = st.lists(
    st.tuples(st.sampled_from([b"u1", b"u2", b"u3"]), st.none() | st.sampled_from([b"a", b"b"])),
    max_size=12,
)


@settings(deadline=None, max_examples=15)
@given(changes, st.integers(0, 12), st.integers(1, 5))
def test_wherever_the_disk_stopped_it_ends_where_the_log_does(
    tmp_path_factory: pytest.TempPathFactory,
    log: list[tuple[bytes, bytes | None]],
    stopped_at: int,
    per_fetch: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        changelog = Changelog()
        changelog.per_fetch = per_fetch
        patch.setattr(FakeConsumer, "changelog", changelog, raising=False)
        patch.setattr(recovery_module, "LenientConsumer", FakeConsumer)
        store = StateStore(tmp_path_factory.mktemp("store"), pytest.fail)
        store.open(0)
        done = log[:stopped_at]
        if done:
            store.write(0, done, len(done) - 1)
            store.mark_complete(0, following=True)
        if log:
            changelog.write(0, *(Change(n, key, value) for n, (key, value) in enumerate(log)))

        recover(store, 0)

        assert dict(store.users(0)) == {k: v for k, v in dict(log).items() if v is not None}
        assert store.changelog_offset(0) == (len(log) - 1 if log else None)
        store.close_all()


def test_the_disk_is_read_and_written_off_the_event_loop(
    changelog: Changelog, store: StateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    changelog.write(0, Change(0, b"u1", state(0)), Change(1, b"u2", state(1)))
    on_the_loop: list[str] = []
    for name in ("open", "write", "get_many", "mark_complete", "wipe"):
        act = getattr(StateStore, name)

        def note(*arguments: Any, _act: Any = act, _name: str = name, **options: Any) -> Any:
            if threading.current_thread() is threading.main_thread():
                on_the_loop.append(_name)
            return _act(*arguments, **options)

        monkeypatch.setattr(StateStore, name, note)

    recover(store, 0)
    assert [key for key, _ in store.users(0)] == [b"u1", b"u2"]
    changelog.write(0, Change(0, b"u3", state(0)))  # the topic was made anew
    recover(store, 0)

    assert [key for key, _ in store.users(0)] == [b"u3"]
    assert on_the_loop == []
