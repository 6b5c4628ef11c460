"""A stale score is found when partitions are assigned, and its user is scored again."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from stream.errors import FencedError
from stream.group.offset_metadata import OffsetMetadata
from stream.kafka.commits import CommitNote
from stream.kafka.producer import Record
from stream.kafka.write_fence import WriteFence
from stream.storage.store import StateStore
from stream.user_state import Rules, UserState
from stream.worker import score_repair
from stream.worker.score_repair import LastScore, ScoreRepair, ScoresTail
from tests.stream.fakes import NOW_MS, EchoScorer, ManualDevice, ManualPublisher, event
from tests.stream.storage.test_recovery import Change, Changelog, FakeConsumer, marker, state
from tests.stream.world import TOPICS, on_a_loop

RULES = Rules(50, 64, 3_600_000, 300_000, 30 * 86_400_000)
OURS = ("lately.group", b"shop")
TOMBSTONE_OF_9 = (("lately.applied_offset", b"9"), OURS)


class FakeReader(FakeConsumer):
    """As `FakeConsumer`, but from the end by default."""

    def __init__(self, **options: Any) -> None:
        assert options.pop("auto_offset_reset") == "latest"
        super().__init__(auto_offset_reset="none", **options)

    async def seek_to_end(self, tp: TopicPartition) -> None:
        self.seek(tp, self.changelog.ends.get(tp.partition, 0))


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> Changelog:
    scores = Changelog()
    monkeypatch.setattr(FakeReader, "changelog", scores, raising=False)
    monkeypatch.setattr(FakeReader, "stopped", 0)
    monkeypatch.setattr(score_repair, "LenientConsumer", FakeReader)
    return scores


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = StateStore(tmp_path, lambda cause: None)
    store.open(0)
    yield store
    store.close_all()


def committed(offset: int, scores_end: int) -> OffsetMetadata:
    return OffsetMetadata(offset, CommitNote(scores_end).encode())


def score(offset: int) -> bytes:
    return b'{"as_of":{"offset":%d}}' % offset


async def done(task: "asyncio.Task[None]", publisher: ManualPublisher) -> None:
    """Let the broker acknowledge until this is done; raises its error."""
    while not task.done():
        for sent in publisher.unanswered():
            sent.acknowledge()
        await asyncio.sleep(0)
    await task


def repaired(
    store: StateStore,
    commits: dict[int, OffsetMetadata | None],
    written: int,
    scorer: EchoScorer | None = None,
) -> list[tuple[bytes | None, int | None, Any]]:
    """What is appended after so many records of the topic: key, offset of the score, headers."""
    return [
        (key, None if value is None else json.loads(value)["as_of"]["offset"], headers)
        for key, value, headers in appended(store, commits, written, scorer)
    ]


def appended(
    store: StateStore,
    commits: dict[int, OffsetMetadata | None],
    written: int,
    scorer: EchoScorer | None = None,
) -> list[Record]:
    """The records that are appended after so many of the topic."""
    publisher = ManualPublisher()

    async def main() -> None:
        device = ManualDevice(scorer or EchoScorer())
        repair = ScoreRepair(TOPICS, {}, publisher, device, store, WriteFence())
        await publisher.send("scores", 0, [(None, None, [])] * written)
        publisher.sent.clear()
        tails = await repair.read(commits)
        await done(asyncio.create_task(repair.repair(tails)), publisher)

    asyncio.run(main())
    return [record for sent in publisher.sent for record in sent.records]


@pytest.mark.parametrize("per_fetch", [1, 2, 5])
def test_a_user_whose_last_score_covers_less_than_their_state_is_scored_again(
    store: StateStore, scores: Changelog, per_fetch: int
) -> None:
    # u1's score of 3 came after that of 8; u2's are in order.
    store.write(0, [(b"u1", state(8)), (b"u2", state(9))], 1)
    scores.per_fetch = per_fetch
    scores.write(
        0,
        *(
            Change(5, b"u1", score(8), (OURS,)),
            Change(6, b"u2", score(7), (OURS,)),
            Change(7, b"u2", score(9), (OURS,)),
        ),
        Change(8, b"u1", score(3), (OURS,)),
    )

    assert repaired(store, {0: committed(10, 5)}, written=9) == [(b"u1", 8, [OURS])]
    assert scores.reads == [(0, 5)]


def test_a_repaired_score_has_the_newest_event_time_though_the_last_event_came_late(
    store: StateStore, scores: Changelog
) -> None:
    late = UserState()
    for offset, ts_ms in ((7, NOW_MS), (8, NOW_MS - 60_000)):
        late.apply(event(offset, ts_ms), RULES)
    store.write(0, [(b"u1", late.to_bytes())], 1)
    scores.write(0, Change(5, b"u1", score(3)))

    ((_, value, _),) = appended(store, {0: committed(10, 5)}, written=6)

    assert value is not None
    repaired_score = json.loads(value)
    horizon_ms = EchoScorer.info.horizon_s * 1000
    assert (repaired_score["as_of"]["offset"], repaired_score["as_of"]["ts"]) == (8, NOW_MS)
    assert repaired_score["valid_until"] == NOW_MS + horizon_ms


def test_a_score_of_more_than_the_state_belongs_to_a_batch_that_comes_again(
    store: StateStore, scores: Changelog
) -> None:
    # The crash was between scores and changelog: nothing of the batch is committed.
    store.write(0, [(b"u1", state(3))], 1)
    scores.write(0, Change(5, b"u1", score(8), (OURS,)), Change(6, b"new", score(9), (OURS,)))

    assert repaired(store, {0: committed(8, 5)}, written=7) == []


def test_a_late_score_of_a_forgotten_user_is_withdrawn_again(
    store: StateStore, scores: Changelog
) -> None:
    # Nothing is left of u2, not even the marker; u3's score was withdrawn, as it must be.
    store.write(0, [(b"u1", marker(9))], 1)
    scores.write(
        0,
        *(Change(5, b"u1", None, TOMBSTONE_OF_9), Change(6, b"u1", score(8), (OURS,))),
        *(Change(7, b"u2", score(4), (OURS,)), Change(8, b"u3", None, TOMBSTONE_OF_9)),
    )

    assert repaired(store, {0: committed(12, 5)}, written=9) == [
        (b"u1", None, [("lately.applied_offset", b"9"), OURS]),
        (b"u2", None, [OURS]),
    ]


def test_a_late_tombstone_of_a_user_who_came_back_is_overwritten(
    store: StateStore, scores: Changelog
) -> None:
    store.write(0, [(b"u1", state(12)), (b"u2", marker(9))], 1)
    scores.write(0, Change(5, b"u1", None, TOMBSTONE_OF_9), Change(6, b"u2", None, TOMBSTONE_OF_9))

    assert repaired(store, {0: committed(13, 5)}, written=7) == [(b"u1", 12, [OURS])]


@pytest.mark.parametrize("value", [b"", b"\xff", b"{}", b"[]", b'{"as_of":{"offset":"x"}}'])
def test_a_record_that_is_not_a_score_is_left_alone(
    store: StateStore, scores: Changelog, value: bytes
) -> None:
    store.write(0, [(b"u1", state(12))], 1)
    scores.write(0, Change(5, b"u1", value, (OURS,)))

    assert repaired(store, {0: committed(13, 5)}, written=6) == []


def test_a_user_who_cannot_be_scored_gets_no_new_score(
    store: StateStore, scores: Changelog
) -> None:
    store.write(0, [(b"u1", state(12, "poison")), (b"u2", state(13))], 1)
    scores.write(0, Change(5, b"u1", score(3), (OURS,)), Change(6, b"u2", score(3), (OURS,)))

    found = repaired(store, {0: committed(14, 5)}, written=7, scorer=EchoScorer(["poison"]))

    assert found == [(b"u2", 13, [OURS])]  # u1 is in the dead letter topic already


def test_if_no_user_can_be_scored_nothing_is_written(store: StateStore, scores: Changelog) -> None:
    store.write(0, [(b"u1", state(12, "poison"))], 1)
    scores.write(0, Change(5, b"u1", score(3), (OURS,)))

    assert repaired(store, {0: committed(14, 5)}, written=6, scorer=EchoScorer(["poison"])) == []


@pytest.mark.parametrize("commit", [None, OffsetMetadata(3)])
def test_without_a_noted_end_reading_begins_at_the_end(
    store: StateStore, scores: Changelog, commit: OffsetMetadata | None
) -> None:
    store.write(0, [(b"u1", state(8))], 1)
    scores.write(0, Change(5, b"u1", score(3), (OURS,)))

    assert repaired(store, {0: commit}, written=6) == []


@on_a_loop
async def test_after_the_repair_the_scores_must_be_ours(tmp_path: Path) -> None:
    """A record between the read and our first one is seen as well."""
    fence = WriteFence()
    store = StateStore(tmp_path, lambda cause: None)
    store.open(0)
    store.write(0, [(b"u1", state(8))], 1)
    publisher = ManualPublisher()
    repair = ScoreRepair(TOPICS, {}, publisher, ManualDevice(EchoScorer()), store, fence)
    await repair.repair({0: ScoresTail(9, 7, {})})
    assert fence.ends("scores") == {0: 7}

    await publisher.send("scores", 0, [(b"u1", b"late", [])] * 8)
    late = {b"u1": LastScore(3, is_tombstone=False)}
    with pytest.raises(FencedError):
        await done(asyncio.create_task(repair.repair({0: ScoresTail(9, 7, late)})), publisher)
    store.close_all()


@pytest.mark.parametrize("theirs", [(("lately.group", b"other"),), ()])
def test_another_groups_score_is_replaced_however_much_it_covers(
    store: StateStore, scores: Changelog, theirs: tuple[tuple[str, bytes], ...]
) -> None:
    # u1's is by another model; u2's was withdrawn by them; u3's first event is yet to be read.
    store.write(0, [(b"u1", state(8)), (b"u2", state(9))], 1)
    scores.write(
        0,
        *(Change(5, b"u1", score(8), theirs), Change(6, b"u2", None, theirs)),
        *(Change(7, b"u3", score(20), theirs), Change(8, b"u2", b"{}", theirs)),
    )

    assert repaired(store, {0: committed(10, 5)}, written=9) == [
        (b"u1", 8, [OURS]),
        (b"u2", 9, [OURS]),
    ]


@on_a_loop
async def test_the_tail_names_the_other_groups_in_it(scores: Changelog) -> None:
    theirs = (("lately.group", b"other"),)
    scores.write(0, Change(5, b"u1", score(8), theirs), Change(6, b"u1", score(8), (OURS,)))
    unused: Any = None
    repair = ScoreRepair(TOPICS, {}, unused, unused, unused, WriteFence())

    tails = await repair.read({0: committed(10, 5)})

    assert tails[0].groups == frozenset({"other"})


def test_without_partitions_nothing_is_read(store: StateStore, scores: Changelog) -> None:
    assert repaired(store, {}, written=0) == []
    assert FakeReader.stopped == 0
