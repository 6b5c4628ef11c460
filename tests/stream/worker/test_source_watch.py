"""Offsets that no longer mean the same end the worker; what was deleted unread is counted."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from stream.errors import TopicsError
from stream.group.faust_consumer import FaustConsumer
from stream.group.offset_metadata import OffsetMetadata
from stream.health import Health
from stream.kafka.commits import Source
from stream.kafka.fetching.log_reader import LogReader
from stream.metrics import Metrics
from stream.settings import WorkerSettings
from stream.worker import source_watch
from stream.worker.source_watch import SourceWatch
from tests.stream.fakes import click
from tests.stream.world import World, on_a_loop, world

SOURCE = Source("topic-1", starts={0: 0, 1: 0}, ends={0: 90, 1: 90})


class FakeReader(LogReader):
    """A topic that is what the test says."""

    def __init__(self) -> None:
        self.source: Source | None = SOURCE

    async def read(self, topic: str) -> Source | None:
        assert topic == "lately.events"
        return self.source

    async def beyond(self, topic: str, source: Source, offsets: Mapping[int, int]) -> set[int]:
        return {number for number, offset in offsets.items() if offset > source.ends[number]}


class FakeConsumer(FaustConsumer):
    """A member that holds partitions of the changelog alone, or not."""

    def __init__(self, *, changelog_alone: bool = False) -> None:
        self.changelog_alone, self.rejoins = changelog_alone, 0

    def holds_other_partitions(self) -> bool:
        return self.changelog_alone

    async def rejoin(self) -> None:
        self.rejoins += 1


class Watching:
    """A watch, and what it looks at."""

    def __init__(self, w: World) -> None:
        settings = WorkerSettings.load(artifact="a", state_dir="s", bootstrap="127.0.0.1:1")
        self.w, self.reader, self.health = w, FakeReader(), Health(0.0)
        self.metrics = Metrics(CollectorRegistry())
        self.watch = SourceWatch(settings, self.reader, self.health, self.metrics)
        self.health.set_ok("partitions")

    async def look(self, consumer: FakeConsumer | None = None) -> None:
        await self.watch.check(self.w.pipeline, consumer or FakeConsumer())

    @property
    def lost(self) -> float:
        return float(self.metrics.events_lost._value.get())


@on_a_loop
async def test_reading_begins_at_the_commit_or_where_the_log_does(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Watching(w)
        r.reader.source = SOURCE._replace(starts={0: 10, 1: 10})
        commits = {0: OffsetMetadata(40, "events_id=topic-1"), 1: None}

        assert await r.watch.examine(commits) == {0: 40, 1: 10}
        assert (r.lost, r.watch.events_id) == (0, "topic-1")


@on_a_loop
async def test_what_was_deleted_while_the_worker_was_away_is_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(tmp_path) as w:
        r = Watching(w)
        r.reader.source = SOURCE._replace(starts={0: 50, 1: 0})

        begins = await r.watch.examine({0: OffsetMetadata(40), 1: OffsetMetadata(5)})

        assert (begins, r.lost) == ({0: 50, 1: 5}, 50 - 40)
        # The group shares the partitions out again, before anything is committed.
        await r.watch.examine({0: OffsetMetadata(40), 1: OffsetMetadata(5)})
        assert r.lost == 50 - 40


@pytest.mark.parametrize(
    ("commit", "words"),
    [
        (OffsetMetadata(40, "events_id=topic-0"), "made anew since"),
        (OffsetMetadata(91), "91 committed of partition 0, which ends at 90"),
    ],
)
def test_commits_of_another_topic_end_the_assignment(
    tmp_path: Path, commit: OffsetMetadata, words: str
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            with pytest.raises(TopicsError, match=f"{words}.*--delete --group lately`"):
                await Watching(w).watch.examine({0: commit})

    scenario()


@pytest.mark.parametrize(
    ("offsets", "newest", "lost"),
    [
        ({0: 20}, {0: 4}, 15),  # 5 to 19
        ({0: 5}, {0: 4}, 0),  # where the worker would have gone on
        ({0: 0}, {0: 4}, 0),  # back to the beginning, for a replay
        ({0: 20}, {}, 0),  # nobody has read anything: the beginning that was chosen
        ({0: 20, 1: 9}, {0: 18, 1: 0}, 1 + 8),
    ],
)
def test_events_that_a_tool_has_passed_over_are_counted(
    tmp_path: Path, offsets: dict[int, int], newest: dict[int, int], lost: int
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            r = Watching(w)
            r.watch.count_skipped(offsets, newest)

            assert r.lost == lost

    scenario()


@on_a_loop
async def test_states_on_disk_of_another_topic_end_the_assignment(tmp_path: Path) -> None:
    # Kafka deletes a group's commits of a topic with that topic, so only the disk may tell.
    async with world(tmp_path) as w:
        watch = Watching(w).watch
        assert await watch.examine({0: None}, {"topic-1"}) == {0: 0}

        with pytest.raises(TopicsError, match=r"states on disk .*; stop every worker, run `kafka-"):
            await watch.examine({0: None}, {"topic-1", "topic-0"})


@on_a_loop
async def test_states_without_commits_must_end_before_the_log_does(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Watching(w)
        await r.watch.examine({0: None})
        await r.watch.check_states({0: 89})

        with pytest.raises(TopicsError, match="partition 0 hold an event of offset 90, and"):
            await r.watch.check_states({0: 90})


@on_a_loop
async def test_a_topic_made_anew_or_cut_under_the_worker_ends_it(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Watching(w)
        await r.watch.examine({0: None, 1: None})
        await r.look()
        await w.feed(click("u1", 60))

        r.reader.source = SOURCE._replace(ends={0: 50, 1: 90})
        with pytest.raises(TopicsError, match="was cut under this worker; stop every worker"):
            await r.look()
        r.reader.source = SOURCE._replace(id="topic-2")
        with pytest.raises(TopicsError, match="was made anew under this worker; stop every"):
            await r.look()


@on_a_loop
async def test_more_partitions_end_the_worker_as_the_next_start_would(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:
        r = Watching(w)
        await r.watch.examine({0: None, 1: None})

        async def ensure_topics(settings: Any) -> None:
            raise TopicsError("lately.scores: partitions: found 2, expected 3")

        monkeypatch.setattr(source_watch, "ensure_topics", ensure_topics)
        r.reader.source = Source("topic-1", {0: 0, 1: 0, 2: 0}, {0: 90, 1: 90, 2: 0})
        with pytest.raises(TopicsError, match=r"lately\.scores: partitions: found 2, expected 3"):
            await r.look()
        # The group may be faster than we, and assign the partitions anew.
        with pytest.raises(TopicsError, match=r"lately\.scores: partitions: found 2, expected 3"):
            await r.watch.examine({0: None})


@on_a_loop
async def test_without_the_topic_the_worker_is_not_ready_and_waits(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Watching(w)
        await r.watch.examine({0: None})
        r.reader.source = None
        await r.look()

        assert r.health.ready()[1]["partitions"] == "lately.events does not exist"
        r.reader.source = SOURCE  # a broker that had just started did not know of it
        await r.look()
        assert "partitions" not in r.health.ready()[1]


@pytest.mark.parametrize(("changelog_alone", "rejoins"), [(True, 1), (False, 0)])
def test_who_holds_changelog_partitions_alone_asks_for_a_share_of_the_events(
    tmp_path: Path, changelog_alone: bool, rejoins: int
) -> None:
    # Without any partition the group has more workers than partitions, and no rejoin helps.
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            w.pipeline.revoke()
            consumer = FakeConsumer(changelog_alone=changelog_alone)
            await Watching(w).look(consumer)

            assert consumer.rejoins == rejoins

    scenario()


@on_a_loop
async def test_what_is_deleted_before_a_worker_that_lags_reads_it_is_counted(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        r = Watching(w)
        await r.watch.examine({0: None, 1: None})
        await w.feed(click("u1", 3), click("u1", 4))
        # 5 is the end marker of a transaction; 7 to 19 are deleted, and 20 is the first there is.
        await w.feed(click("u1", 6))
        r.reader.source = SOURCE._replace(starts={0: 4, 1: 0})
        await r.look()
        assert r.lost == 0
        await w.feed(click("u1", 20))
        r.reader.source = SOURCE._replace(starts={0: 20, 1: 0})
        await r.look()
        await r.look()

        assert r.lost == 20 - 7
