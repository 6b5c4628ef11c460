"""A changelog that is made anew or deleted ends the worker, before or while it runs."""

from collections.abc import Mapping

import pytest

from stream.errors import TopicsError
from stream.group.offset_metadata import OffsetMetadata
from stream.kafka.changelog import Disk
from stream.kafka.commits import Source
from stream.kafka.fetching.log_reader import LogReader
from stream.settings import WorkerSettings
from stream.worker.changelog_check import ChangelogCheck
from tests.stream.world import on_a_loop

SETTINGS = WorkerSettings.load(artifact="a", state_dir="s", bootstrap="127.0.0.1:1", group="ours")
OURS = OffsetMetadata(5, "changelog_id=a,changelog_end=9")


class FakeReader(LogReader):
    """A changelog with this id; None if there is none."""

    def __init__(self) -> None:
        self.id: str | None = "a"

    async def read(self, topic: str) -> Source | None:
        assert topic == "ours-state-changelog"
        return None if self.id is None else Source(self.id, {0: 0}, {0: 9})


async def examined(
    reader: FakeReader, committed: Mapping[int, OffsetMetadata | None], disk: Disk
) -> tuple[ChangelogCheck, list[int]]:
    check = ChangelogCheck(SETTINGS, reader)
    return check, await check.examine(committed, {0: disk})


@on_a_loop
async def test_the_changelog_that_commits_and_disk_name_is_taken() -> None:
    check, outdated = await examined(FakeReader(), {0: OURS}, Disk("a", 9))

    assert (check.id, outdated) == ("a", [])
    await check.check()


@on_a_loop
async def test_another_one_is_refused_by_the_commit_or_by_the_disk() -> None:
    reader = FakeReader()
    reader.id = "b"
    for committed, disk in ((OURS, Disk(None, 0)), (None, Disk("a", 9))):
        with pytest.raises(TopicsError, match="lately state restore"):
            await examined(reader, {0: committed}, disk)


@on_a_loop
async def test_a_disk_that_the_group_has_left_behind_is_named() -> None:
    _, outdated = await examined(FakeReader(), {0: OURS}, Disk("z", 9))

    assert outdated == [0]


@on_a_loop
async def test_a_changelog_made_anew_under_the_worker_ends_it() -> None:
    reader = FakeReader()
    check, _ = await examined(reader, {0: OURS}, Disk("a", 9))
    reader.id = "b"

    with pytest.raises(TopicsError, match="the states of partition 0 are of another topic"):
        await check.check()


@on_a_loop
async def test_a_changelog_that_is_missing_for_two_looks_ends_the_worker() -> None:
    """A broker may not know it for a moment."""
    reader = FakeReader()
    check, _ = await examined(reader, {0: OURS}, Disk("a", 9))
    for found in (None, "a", None):
        reader.id = found
        await check.check()

    with pytest.raises(TopicsError, match="does not exist any more"):
        await check.check()


@on_a_loop
async def test_where_brokers_report_no_ids_nothing_is_compared() -> None:
    class NoIds(FakeReader):
        async def read(self, topic: str) -> Source | None:
            return Source(None, {0: 0}, {0: 9})

    check, outdated = await examined(NoIds(), {0: OURS}, Disk("z", 9))

    assert (check.id, outdated) == (None, [])
    await check.check()
