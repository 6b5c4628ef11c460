"""The scoring handler: in which order partitions are recovered, repaired, served and given up."""

import asyncio
import gc
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from structlog.testing import capture_logs

from stream.errors import FencedError, StateError, TopicsError
from stream.group.offset_metadata import OffsetMetadata
from stream.kafka.changelog import Disk
from stream.kafka.commits import CommitNote
from stream.worker import scoring_handler
from stream.worker.score_repair import ScoresTail
from stream.worker.scoring_handler import ScoringHandler
from tests.stream.fakes import NOW_MS, click, settle
from tests.stream.storage.test_recovery import state
from tests.stream.world import TOPICS, FakeChangelog, FakeSource, World, on_a_loop, world

SCORES = (TOPICS.scores, 0)


@pytest.fixture(autouse=True, scope="module")
def leave_out_what_other_tests_have_imported() -> None:
    """The handler collects garbage in every test: 0.5 s of it where torch has exported a graph."""
    gc.freeze()


class Recovering:
    """Stands for recovery and for score repair, and writes down their order."""

    def __init__(self, w: World) -> None:
        self.calls: list[Any] = []
        self.error: Exception | None = None
        self.tails: dict[int, ScoresTail] = {}
        self.refusal: TopicsError | None = None
        self.source, self.changelog, self.fence = FakeSource(), FakeChangelog(), w.fence
        stand_in: Any = self
        self.handler = ScoringHandler(
            w.pipeline,
            stand_in,
            stand_in,
            w.store,
            w.fence,
            TOPICS.scores,
            self.source,
            self.changelog,
            self.ensure_owner,
            now_ms=lambda: NOW_MS,
        )

    async def recover(self, partitions: Iterable[int]) -> None:
        self.calls.append(("recover", sorted(partitions)))

    async def read(self, committed: Mapping[int, OffsetMetadata | None]) -> dict[int, ScoresTail]:
        self.calls.append(("read scores", sorted(committed)))
        return self.tails

    async def ensure_owner(self, writers: Mapping[str, Iterable[int]]) -> None:
        self.calls.append(("whose scores", dict(writers)))
        if self.refusal is not None:
            raise self.refusal

    async def repair(self, tails: dict[int, ScoresTail]) -> None:
        self.calls.append(("repair scores", tails))
        self.fence.reset({(TOPICS.scores, number): tail.end for number, tail in tails.items()})
        if self.error is not None:
            raise self.error


@on_a_loop
async def test_scores_are_repaired_when_the_state_is_recovered_and_then_events_flow(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        r = Recovering(w)
        w.pipeline.revoke()
        await r.handler.recover({0: None})

        assert r.calls == [("read scores", [0]), ("recover", [0]), ("repair scores", {})]
        assert w.pipeline.partitions == frozenset({0})
        await r.handler.ingest(0, [click("u1", 4)])
        await settle()
        await w.acknowledge_all()
        note = (
            f"scores_end=1,scores_topic=scores,since_ms={NOW_MS},events_id=topic-1,"
            "changelog_id=changelog-1,changelog_end=1"
        )
        assert r.handler.offsets() == {0: OffsetMetadata(5, note)}


@on_a_loop
async def test_recovery_has_ended_when_the_scores_cannot_be_read(tmp_path: Path) -> None:
    # It would go on beside the next one, and write to a disk that was given up.
    async with world(tmp_path) as w:
        r, ended = Recovering(w), asyncio.Event()

        async def recover_slowly(_: Iterable[int]) -> None:
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0)
                ended.set()

        async def break_off(_: Mapping[int, OffsetMetadata | None]) -> dict[int, ScoresTail]:
            raise KafkaConnectionError

        stand_in: Any = r
        stand_in.recover, stand_in.read = recover_slowly, break_off

        with pytest.raises(KafkaConnectionError):
            await r.handler.recover({0: None})
        assert ended.is_set()


@on_a_loop
async def test_what_is_read_for_long_before_a_worker_is_ready_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The leader of a topic may not answer, and the worker waits for it.
    monkeypatch.setattr(scoring_handler, "READING_S", 0.0)
    async with world(tmp_path) as w:
        r, answered = Recovering(w), asyncio.Event()

        async def read_slowly(_: Mapping[int, OffsetMetadata | None]) -> dict[int, ScoresTail]:
            await answered.wait()
            return {}

        stand_in: Any = r
        stand_in.read = read_slowly
        with capture_logs() as logs:
            recovering = asyncio.create_task(r.handler.recover({0: None}))
            while not any(line.get("left") == ["scores"] for line in logs):
                await asyncio.sleep(0)
            answered.set()
            await recovering
            said = len(logs)
            await settle()

        assert len(logs) == said


@on_a_loop
async def test_partitions_that_are_no_longer_ours_are_closed_on_disk(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await Recovering(w).handler.recover({1: None})

        with pytest.raises(StateError):
            w.store.get(0, b"u1")
        assert w.store.get(1, b"u1") is None


@on_a_loop
async def test_a_foreign_write_during_the_repair_leaves_nothing_assigned(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Recovering(w)
        w.pipeline.revoke()
        r.error = FencedError("another writer")

        with pytest.raises(FencedError):
            await r.handler.recover({0: None})
        assert w.pipeline.partitions == frozenset()


@on_a_loop
async def test_after_a_revocation_the_next_owner_may_write_where_we_did(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        await w.acknowledge_all()
        assert w.fence.idle_ends()
        assert await Recovering(w).handler.revoke(0.0)

        assert (w.pipeline.partitions, w.fence.idle_ends()) == (frozenset(), {})


@on_a_loop
async def test_a_revocation_says_when_a_batch_is_still_in_flight(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        handler = Recovering(w).handler
        await w.feed(click("u1", 0))  # its score is sent, and not acknowledged

        assert not await handler.revoke(0.0)
        await w.acknowledge_all()
        assert await handler.revoke(0.0)


# --- whose scores topic it is ---------------------------------------------------------------------


@on_a_loop
async def test_a_claim_is_as_old_as_the_oldest_commit_that_makes_it(tmp_path: Path) -> None:
    """One without a time is older than all that have one; one of another topic claims none."""
    async with world(tmp_path) as w:
        r = Recovering(w)
        r.source.begins = {0: 3, 1: 4, 2: 5, 3: 0}
        notes = ["scores_topic=scores,since_ms=7", "scores_end=2", "scores_topic=old,since_ms=7"]
        committed = {n: OffsetMetadata(3 + n, note) for n, note in enumerate(notes)}
        for number in (2, 3):
            w.store.open(number)
        await r.handler.recover({**committed, 3: None})

        notes_now = {n: CommitNote.decode(o.metadata) for n, o in r.handler.offsets().items()}
        claims = {number: note.since_ms for number, note in notes_now.items()}
        assert claims == {0: 7, 1: None, 2: NOW_MS, 3: NOW_MS}


@on_a_loop
async def test_a_partition_without_news_is_committed_too_and_so_claimed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Recovering(w)
        r.source.begins = {0: 40}
        await r.handler.recover({0: None})

        assert {number: o.offset for number, o in r.handler.offsets().items()} == {0: 40}


@on_a_loop
async def test_who_finds_scores_of_a_group_with_an_earlier_claim_writes_none(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        r = Recovering(w)
        w.pipeline.revoke()
        r.tails = {0: ScoresTail(3, 7, {}, frozenset({"other"}))}
        r.refusal = TopicsError("the topic of other")
        with pytest.raises(TopicsError):
            await r.handler.recover({0: None})

        assert ("whose scores", {"other": [0]}) in r.calls
        assert not any(call[0] == "repair scores" for call in r.calls)
        assert w.pipeline.partitions == frozenset()


@on_a_loop
async def test_whose_topic_it_is_repairs_it_and_goes_on_beside_the_other_group(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        r = Recovering(w)
        r.tails = {0: ScoresTail(3, 7, {}, frozenset({"other"}))}
        await r.handler.recover({0: None})

        assert r.calls[-2:] == [("whose scores", {"other": [0]}), ("repair scores", r.tails)]
        assert w.fence.note_foreign(SCORES, 9)


# --- whether offsets mean what they meant ---------------------------------------------------------


@on_a_loop
async def test_a_topic_made_anew_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Recovering(w)
        r.source.error = TopicsError("made anew")
        with pytest.raises(TopicsError):
            await r.handler.recover({0: None})

        assert r.calls == []


@on_a_loop
async def test_only_states_without_a_commit_are_searched_for_their_newest_event(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        w.store.write(0, [(b"u1", state(8)), (b"u2", state(5))], 1)
        w.store.write(1, [(b"u3", state(90))], 1)
        r = Recovering(w)
        await r.handler.recover({0: None, 1: OffsetMetadata(91)})

        assert r.source.newest == [{0: 8}]


@on_a_loop
async def test_the_disk_notes_which_topic_its_offsets_are_of(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Recovering(w)
        await r.handler.recover({0: None, 1: None})
        assert r.source.state_ids == set()
        await r.handler.recover({0: None})
        assert r.source.state_ids == {"topic-1"}

        w.store.wipe(0, "corrupt")
        assert w.store.source_id(0) is None


@on_a_loop
async def test_offsets_that_a_tool_has_set_are_compared_with_the_newest_events_in_the_states(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        r = Recovering(w)
        ours = OffsetMetadata(7, f"scores_end=1,since_ms={NOW_MS}")
        w.store.write(0, [(b"u1", state(4)), (b"u2", state(3))], 9)
        await r.handler.recover({0: ours, 1: None})
        assert r.source.skipped is None

        await r.handler.recover({0: OffsetMetadata(20, ""), 1: OffsetMetadata(3, "")})

        assert r.source.skipped == ({0: 20, 1: 3}, {0: 4})  # partition 1 has no states


# --- whether the states are of the changelog that is there ----------------------------------------


@on_a_loop
async def test_a_changelog_made_anew_is_refused_before_the_disk_is_touched(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.store.write(0, [(b"u1", state(4))], 9)
        r = Recovering(w)
        r.changelog.error = TopicsError("made anew")
        with pytest.raises(TopicsError):
            await r.handler.recover({0: None})

        assert r.calls == []
        assert w.store.get(0, b"u1") == state(4)


@on_a_loop
async def test_the_disk_notes_which_changelog_it_is_of(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Recovering(w)
        w.store.write(0, [(b"u1", state(4))], 9)
        await r.handler.recover({0: None, 1: None})
        assert r.changelog.disks == {0: Disk(None, 10), 1: Disk(None, 0)}
        await r.handler.recover({0: None})

        assert r.changelog.disks == {0: Disk("changelog-1", 10)}


@on_a_loop
async def test_a_disk_that_the_group_has_left_behind_is_wiped_and_rebuilt(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.store.write(0, [(b"u1", state(4))], 9)
        w.store.note_changelog(0, "changelog-0")
        r = Recovering(w)
        r.changelog.outdated = [0]
        await r.handler.recover({0: None})

        assert (w.store.get(0, b"u1"), w.store.disk(0)) == (None, Disk("changelog-1", 0))
