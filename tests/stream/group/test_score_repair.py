"""A score that came too late is found when partitions are assigned, and another one given."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from stream.errors import FencedError
from stream.group import score_repair as amends_module
from stream.group.offset_metadata import Commit
from stream.group.score_repair import Amends, Last, Tail
from stream.kafka.write_fence import Succession
from stream.storage.store import StateStore
from tests.stream.fakes import EchoScorer, ManualDevice, ManualPublisher
from tests.stream.storage.test_recovery import Change, Changelog, FakeConsumer, marker, state
from tests.stream.world import TOPICS, on_a_loop

NULL_OF_9 = (("lately.applied_offset", b"9"),)


class FakeReader(FakeConsumer):
    """As `FakeConsumer`, from the end where nothing else is said."""

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
    monkeypatch.setattr(amends_module, "AIOKafkaConsumer", FakeReader)
    return scores


@pytest.fixture
def store(tmp_path: Path) -> Iterator[StateStore]:
    store = StateStore(tmp_path, lambda cause: None)
    store.open(0)
    yield store
    store.close_all()


def score(offset: int) -> bytes:
    return b'{"as_of":{"offset":%d}}' % offset


async def done(task: "asyncio.Task[None]", publisher: ManualPublisher) -> None:
    """Let the broker acknowledge until this is done; raises what it ended of."""
    while not task.done():
        for sent in publisher.unanswered():
            sent.acknowledge()
        await asyncio.sleep(0)
    await task


def mended_of(
    store: StateStore,
    commits: dict[int, Commit | None],
    written: int,
    scorer: EchoScorer | None = None,
) -> list[tuple[bytes | None, int | None, Any]]:
    """What is written behind so many records of the topic: key, offset of the score, headers."""
    publisher = ManualPublisher()

    async def main() -> None:
        device = ManualDevice(scorer or EchoScorer())
        amends = Amends(TOPICS, {}, publisher, device, store, Succession())
        await publisher.send("scores", 0, [(None, None, [])] * written)
        publisher.sent.clear()
        tails = await amends.read(commits)
        await done(asyncio.create_task(amends.make(tails)), publisher)

    asyncio.run(main())
    return [
        (key, None if value is None else json.loads(value)["as_of"]["offset"], headers)
        for sent in publisher.sent
        for key, value, headers in sent.records
    ]


@pytest.mark.parametrize("per_fetch", [1, 2, 5])
def test_whose_last_score_is_of_less_than_their_state_gets_the_score_of_it(
    store: StateStore, scores: Changelog, per_fetch: int
) -> None:
    # u1's score of 3 came behind that of 8; u2's are in order.
    store.write(0, [(b"u1", state(8)), (b"u2", state(9))], 1)
    scores.per_fetch = per_fetch
    scores.write(
        0,
        *(Change(5, b"u1", score(8)), Change(6, b"u2", score(7)), Change(7, b"u2", score(9))),
        Change(8, b"u1", score(3)),
    )

    assert mended_of(store, {0: Commit(10, 5)}, written=9) == [(b"u1", 8, [])]
    assert scores.reads == [(0, 5)]


def test_a_score_of_more_than_the_state_is_of_a_batch_that_comes_again(
    store: StateStore, scores: Changelog
) -> None:
    # It was cut off between scores and changelog: nothing of it is committed.
    store.write(0, [(b"u1", state(3))], 1)
    scores.write(0, Change(5, b"u1", score(8)), Change(6, b"new", score(9)))

    assert mended_of(store, {0: Commit(8, 5)}, written=7) == []


def test_who_is_forgotten_loses_a_late_score_again(store: StateStore, scores: Changelog) -> None:
    # Of u2 there is nothing left, not even the marker; u3's score was withdrawn, as it must be.
    store.write(0, [(b"u1", marker(9))], 1)
    scores.write(
        0,
        *(Change(5, b"u1", None, NULL_OF_9), Change(6, b"u1", score(8))),
        *(Change(7, b"u2", score(4)), Change(8, b"u3", None, NULL_OF_9)),
    )

    assert mended_of(store, {0: Commit(12, 5)}, written=9) == [
        (b"u1", None, [("lately.applied_offset", b"9")]),
        (b"u2", None, []),
    ]


def test_a_late_null_withdraws_nobodys_score_who_has_come_back(
    store: StateStore, scores: Changelog
) -> None:
    store.write(0, [(b"u1", state(12)), (b"u2", marker(9))], 1)
    scores.write(0, Change(5, b"u1", None, NULL_OF_9), Change(6, b"u2", None, NULL_OF_9))

    assert mended_of(store, {0: Commit(13, 5)}, written=7) == [(b"u1", 12, [])]


@pytest.mark.parametrize("value", [b"", b"\xff", b"{}", b"[]", b'{"as_of":{"offset":"x"}}'])
def test_what_is_no_score_of_ours_is_left_alone(
    store: StateStore, scores: Changelog, value: bytes
) -> None:
    store.write(0, [(b"u1", state(12))], 1)
    scores.write(0, Change(5, b"u1", value))

    assert mended_of(store, {0: Commit(13, 5)}, written=6) == []


def test_who_cannot_be_scored_gets_no_other_score(store: StateStore, scores: Changelog) -> None:
    store.write(0, [(b"u1", state(12, "poison")), (b"u2", state(13))], 1)
    scores.write(0, Change(5, b"u1", score(3)), Change(6, b"u2", score(3)))

    found = mended_of(store, {0: Commit(14, 5)}, written=7, scorer=EchoScorer(["poison"]))

    assert found == [(b"u2", 13, [])]  # u1 is in the dead letter topic already


def test_where_nobody_can_be_scored_nothing_is_written(
    store: StateStore, scores: Changelog
) -> None:
    store.write(0, [(b"u1", state(12, "poison"))], 1)
    scores.write(0, Change(5, b"u1", score(3)))

    assert mended_of(store, {0: Commit(14, 5)}, written=6, scorer=EchoScorer(["poison"])) == []


@pytest.mark.parametrize("commit", [None, Commit(3, None)])
def test_where_no_end_was_noted_we_begin_at_the_end(
    store: StateStore, scores: Changelog, commit: Commit | None
) -> None:
    store.write(0, [(b"u1", state(8))], 1)
    scores.write(0, Change(5, b"u1", score(3)))

    assert mended_of(store, {0: commit}, written=6) == []


@on_a_loop
async def test_from_then_on_the_scores_must_be_ours(tmp_path: Path) -> None:
    """What comes between the look and our first record is seen as well."""
    succession = Succession()
    store = StateStore(tmp_path, lambda cause: None)
    store.open(0)
    store.write(0, [(b"u1", state(8))], 1)
    publisher = ManualPublisher()
    amends = Amends(TOPICS, {}, publisher, ManualDevice(EchoScorer()), store, succession)
    await amends.make({0: Tail(9, 7, {})})
    assert succession.ends("scores") == {0: 7}

    await publisher.send("scores", 0, [(b"u1", b"late", [])] * 8)
    late = {b"u1": Last(3, withdrawn=False)}
    with pytest.raises(FencedError):
        await done(asyncio.create_task(amends.make({0: Tail(9, 7, late)})), publisher)
    store.close_all()


def test_without_partitions_nothing_is_read(store: StateStore, scores: Changelog) -> None:
    assert mended_of(store, {}, written=0) == []
    assert FakeReader.stopped == 0
