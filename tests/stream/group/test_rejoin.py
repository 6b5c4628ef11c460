"""After a foreign write the member rejoins, until that clearly does not help."""

import asyncio
from pathlib import Path
from typing import get_args

import pytest

from stream.errors import FencedError, OtherGroupError
from stream.group.faust_consumer import FaustConsumer
from stream.group.rejoin import MAX_REJOINS, WINDOW_S, Rejoiner
from stream.health import Condition, Health
from stream.kafka.write_fence import foreign_write
from tests.stream.fakes import settle
from tests.stream.world import World, on_a_loop, world


class FakeConsumer(FaustConsumer):
    """A group that reassigns the partitions when asked."""

    def __init__(self, w: World) -> None:
        self.world, self.asked = w, 0

    async def rejoin(self) -> None:
        self.asked += 1
        self.world.assign()


class Fenced:
    """A pipeline that is fenced, and the rejoiner that gets its partitions back."""

    def __init__(self, w: World) -> None:
        self.w, self.consumer, self.health = w, FakeConsumer(w), Health(0.0)
        for condition in get_args(Condition):
            self.health.set_ok(condition)
        rejoiner = Rejoiner(w.pipeline.fenced, self.consumer, self.health, lambda: w.now_s)
        self.task = asyncio.create_task(rejoiner.run())

    async def fence(self) -> None:
        self.w.pipeline.release(foreign_write(("scores", 0), 7))
        await settle()


@on_a_loop
async def test_a_fenced_member_rejoins_and_is_not_ready_until_it_has_recovered(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        r = Fenced(w)
        await settle()
        assert r.consumer.asked == 0
        await r.fence()

        assert (r.consumer.asked, w.pipeline.partitions) == (1, frozenset({0, 1}))
        assert r.health.ready() == (
            False,
            {"state": "another writer appended to our partitions"},
        )
        assert not r.task.done()


@on_a_loop
async def test_two_fenced_batches_lead_to_one_rejoin(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Fenced(w)
        w.pipeline.release(foreign_write(("scores", 0), 7))
        w.pipeline.release(foreign_write(("changelog", 0), 8))
        await settle()

        assert r.consumer.asked == 1


@pytest.mark.parametrize("every_s", [0.0, WINDOW_S / MAX_REJOINS - 1])
def test_repeated_foreign_writes_end_the_worker(tmp_path: Path, every_s: float) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            r = Fenced(w)
            for _ in range(MAX_REJOINS):
                await r.fence()
                w.now_s += every_s
            assert (r.consumer.asked, r.task.done()) == (MAX_REJOINS, False)
            await r.fence()

            assert isinstance(r.task.exception(), FencedError)

    scenario()


@on_a_loop
async def test_occasional_foreign_writes_do_not(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Fenced(w)
        for _ in range(3 * MAX_REJOINS):
            await r.fence()
            w.now_s += WINDOW_S / MAX_REJOINS

        assert (r.consumer.asked, r.task.done()) == (3 * MAX_REJOINS, False)


@on_a_loop
async def test_however_often_a_group_without_a_claim_writes_the_worker_stays(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        r = Fenced(w)
        for _ in range(3 * MAX_REJOINS):
            w.pipeline.release(OtherGroupError("theirs"))
            await settle()

        assert (r.consumer.asked, r.task.done()) == (3 * MAX_REJOINS, False)
