"""The committer tells Kafka what is safe, once, and nothing more after a failure."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from stream.group.committer import Committer
from stream.group.faust_consumer import Lane
from tests.stream.fakes import click, forget, settle
from tests.stream.world import LIMITS, World, on_a_loop, world


class FakeLane(Lane):
    """A group that answers as told."""

    def __init__(self) -> None:
        self.told: list[dict[int, int]] = []
        self.scores_ends: list[dict[int, int]] = []
        self.kept = True
        self.error: Exception | None = None

    async def commit(self, offsets: Mapping[int, int], scores_ends: Mapping[int, int]) -> bool:
        self.told.append(dict(offsets))
        self.scores_ends.append(dict(scores_ends))
        if self.error is not None:
            raise self.error
        return self.kept


def committer(w: World) -> tuple[Committer, FakeLane]:
    lane = FakeLane()
    return Committer(w.pipeline, lane, w.succession, "scores", w.metrics), lane


async def safe(w: World, *offsets: int) -> None:
    for offset in offsets:
        await w.feed(click("u1", offset))
    await w.acknowledge_all()


@on_a_loop
async def test_what_is_safe_is_committed_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        committing, lane = committer(w)
        await committing.commit()
        await safe(w, 0)
        await committing.commit()
        await committing.commit()
        await w.feed(click("v1", 4), partition=1)
        await committing.commit()

        # First partition 0 alone; then partition 1, up to the event that is on its way.
        assert lane.told == [{0: 1}, {1: 4}]
        assert lane.scores_ends == [{0: 1}, {0: 1}]  # the score in partition 1 is not yet there
        assert w.metrics.commits["ok"]._value.get() == 2


@pytest.mark.parametrize("error", [None, KafkaConnectionError()])
def test_a_commit_that_was_not_kept_is_tried_again(tmp_path: Path, error: Exception | None) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            committing, lane = committer(w)
            await safe(w, 0)
            lane.kept, lane.error = False, error
            await committing.commit()
            lane.kept, lane.error = True, None
            await committing.commit()

            assert lane.told == [{0: 1}, {0: 1}]
            assert w.metrics.commits["failed"]._value.get() == 1

    scenario()


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_forgotten_is_deleted_once_that_is_committed(tmp_path: Path, kept: bool) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            committing, lane = committer(w)
            await safe(w, 0)
            await w.feed(forget("u1", 1))
            await w.acknowledge_all()
            lane.kept = kept
            await committing.commit()
            await settle()
            await w.acknowledge_all()

            assert (w.stored() is None) == kept

    scenario()


@on_a_loop
async def test_what_is_forgotten_is_deleted_in_time_without_news_to_commit(tmp_path: Path) -> None:
    async with world(tmp_path, limits=LIMITS._replace(forget_marker_s=600.0)) as w:
        committing, lane = committer(w)
        await w.feed(forget("u1", 0))
        await w.acknowledge_all()
        await committing.commit()
        w.now_s = 600.0
        await committing.commit()
        await settle()
        await w.acknowledge_all()

        assert (lane.told, w.stored()) == ([{0: 1}], None)


@on_a_loop
async def test_after_a_failure_nothing_is_committed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        committing, lane = committer(w)
        await safe(w, 0)
        w.pipeline.failed.set_exception(RuntimeError("the broker refused a record"))
        await committing.commit()

        assert lane.told == []


@on_a_loop
async def test_after_a_new_assignment_everything_is_committed_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        committing, lane = committer(w)
        await safe(w, 0)
        await committing.commit()
        committing.start_over()
        await committing.commit()

        assert lane.told == [{0: 1}, {0: 1}]
