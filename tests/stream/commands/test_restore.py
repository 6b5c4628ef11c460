"""Which states on disk are written into a changelog that was made anew, and in which order."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from stream.commands.restore import Restore, Row, Verdict, judge
from stream.errors import DeliveryError, StateError
from stream.kafka.changelog import Disk
from stream.kafka.command_clients import TopicReader
from stream.kafka.commits import Commit, CommitNote
from stream.kafka.group_commits import GroupCommits
from stream.kafka.producer import Delivery, RecordBatch
from stream.settings import StateSettings
from stream.storage.applied_offset import tombstone_headers
from stream.storage.store import StateStore
from tests.stream.fakes import ManualPublisher
from tests.stream.storage.test_recovery import Change, state


@pytest.mark.parametrize(
    ("disk", "changelog_id", "end", "verdict"),
    [
        (Disk("a", 9), "a", 9, "restored"),
        (Disk("a", 12), "a", 9, "restored"),  # written after the last commit
        (Disk("a", 8), "a", 9, "outdated"),  # it may lack a forget
        (Disk("z", 90), "a", 9, "outdated"),  # of a changelog before the last one
        (Disk(None, 90), "a", 9, "outdated"),
        (Disk("a", 0), "a", 0, "empty"),
        (Disk("b", 9), "a", 9, "there"),
        (Disk("a", 9), "b", 9, "there"),  # broken off before the disk noted it
        (Disk("a", 9), None, None, "unknown"),
        (Disk("a", 9), "a", None, "unknown"),
    ],
)
def test_only_a_disk_that_holds_all_that_was_committed_is_restored(
    disk: Disk, changelog_id: str | None, end: int | None, verdict: Verdict
) -> None:
    note = CommitNote(changelog_id=changelog_id, changelog_end=end)

    assert judge(disk, note, "b") == verdict


class Answering(ManualPublisher):
    """A broker that has everything at once, or refuses it all."""

    def __init__(self, calls: list[Any], *, refuses: bool = False) -> None:
        super().__init__()
        self.calls, self.refuses = calls, refuses

    async def send_batches(
        self, topic: str, partition: int, batches: Iterable[RecordBatch]
    ) -> list[Delivery]:
        deliveries = await super().send_batches(topic, partition, batches)
        if self.refuses:
            raise DeliveryError("no")
        self.sent[-1].acknowledge()
        self.calls.append(("published", [key for key, _, _ in self.sent[-1].records]))
        return deliveries


class Group(GroupCommits):
    """The commits of a group that has no members."""

    def __init__(self, calls: list[Any]) -> None:
        self.calls = calls

    async def write(self, commits: Mapping[int, Commit]) -> None:
        self.calls.append(("committed", dict(commits)))


class Reader(TopicReader):
    """A changelog that has these records of partition 0."""

    def __init__(self, *records: Change) -> None:
        self.records = list(records)

    async def read_to_end(self, *numbers: int) -> AsyncIterator[list[Any]]:
        assert numbers == (0,)
        for record in self.records:
            yield [record]

    def end(self, number: int) -> int:
        return len(self.records)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    """The states of three users, of the changelog ``a``."""
    store = StateStore(tmp_path, lambda cause: None)
    store.open(0)
    store.write(0, [(b"u1", state(7)), (b"u2", state(8)), (b"u3", state(9))], 40)
    store.note_changelog(0, "a")
    yield store
    store.close_all()


COMMIT = Commit(10, CommitNote(scores_end=3, changelog_id="a", changelog_end=41))


def restore(
    store: StateStore, tmp_path: Path, calls: list[Any], *records: Change, refuses: bool = False
) -> Row:
    settings = StateSettings(bootstrap="kafka:9092", state_dir=tmp_path)
    publisher = Answering(calls, refuses=refuses)
    work = Restore(settings, tmp_path, store, Reader(*records), publisher, Group(calls), "b")
    return asyncio.run(work.one(0, COMMIT))


def test_all_users_are_in_the_changelog_before_a_commit_says_so(
    store: StateStore, tmp_path: Path
) -> None:
    calls: list[Any] = []

    assert restore(store, tmp_path, calls) == Row(0, "restored", 3)

    note = COMMIT.note._replace(changelog_id="b", changelog_end=3)
    assert calls == [
        ("committed", {0: COMMIT}),  # which fails while a worker is in the group
        ("published", [b"u1", b"u2", b"u3"]),
        ("committed", {0: Commit(10, note)}),
    ]
    assert store.disk(0) == Disk("b", 3)


def test_what_a_worker_wrote_before_it_noticed_is_taken_over_where_it_is_newer(
    store: StateStore, tmp_path: Path
) -> None:
    calls: list[Any] = []
    newer, stale, stranger = state(11), state(2), state(12)
    row = restore(
        store,
        tmp_path,
        calls,
        *(Change(0, b"u1", newer), Change(1, b"u2", stale), Change(2, b"u4", stranger)),
        Change(3, b"u3", None, tuple(tombstone_headers(10))),
    )

    assert row == Row(0, "restored", 1)
    assert calls[1] == ("published", [b"u2"])  # alone: its record there is stale
    assert dict(store.users(0)) == {b"u1": newer, b"u2": state(8), b"u4": stranger}


def test_one_that_is_broken_off_is_restored_again(store: StateStore, tmp_path: Path) -> None:
    calls: list[Any] = []
    with pytest.raises(DeliveryError):
        restore(store, tmp_path, calls, Change(0, b"u1", state(11)), refuses=True)
    assert (store.disk(0), calls[1:]) == (Disk("a", 41), [])

    assert restore(store, tmp_path, calls, Change(0, b"u1", state(11))).users == 2


def test_a_partition_that_is_damaged_is_not_wiped(store: StateStore, tmp_path: Path) -> None:
    """It may be the only copy, and a backup of the disk may still be had."""
    store.close(0)
    for table in (tmp_path / "partition-0").glob("MANIFEST-*"):
        table.write_bytes(b"damage")

    with pytest.raises(StateError, match="RocksDB cannot read it"):
        restore(store, tmp_path, [])
    assert (tmp_path / "partition-0" / "CURRENT").exists()


def test_more_users_than_are_read_at_once_are_all_written(
    store: StateStore, tmp_path: Path
) -> None:
    many = [(b"m%d" % n, state(n)) for n in range(2_500)]
    store.write(0, many, 40)
    calls: list[Any] = []

    assert restore(store, tmp_path, calls) == Row(0, "restored", 2_503)
    written = [key for what, keys in calls if what == "published" for key in keys]
    assert len(written) == len(set(written)) == 2_503
