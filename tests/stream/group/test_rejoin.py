"""Partitions are taken anew when another wrote among us, until that is clearly no help."""

import asyncio
from pathlib import Path
from typing import get_args

import pytest

from stream.errors import FencedError
from stream.group.faust_consumer import Lane
from stream.group.rejoin import AT_MOST, WITHIN_S, Retaking
from stream.health import Condition, Health
from stream.kafka.write_fence import fenced
from tests.stream.fakes import settle
from tests.stream.world import World, on_a_loop, world


class FakeLane(Lane):
    """A group that is asked for partitions, and gives them."""

    def __init__(self, w: World) -> None:
        self.world, self.asked = w, 0

    async def rejoin(self) -> None:
        self.asked += 1
        self.world.assign()


class Retaken:
    """A pipeline whose partitions are let go, and who takes them anew."""

    def __init__(self, w: World) -> None:
        self.w, self.lane, self.health = w, FakeLane(w), Health(0.0)
        for condition in get_args(Condition):
            self.health.set_ok(condition)
        retaking = Retaking(w.pipeline, self.lane, self.health, lambda: w.now_s)
        self.task = asyncio.create_task(retaking.run())

    async def fence(self) -> None:
        self.w.pipeline.let_go(fenced(("scores", 0), 7))
        await settle()


@on_a_loop
async def test_what_was_let_go_is_taken_anew_and_not_ready_until_it_is(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Retaken(w)
        await settle()
        assert r.lane.asked == 0
        await r.fence()

        assert (r.lane.asked, w.pipeline.partitions) == (1, frozenset({0, 1}))
        assert r.health.ready() == (
            False,
            {"state": "somebody else wrote into our partitions"},
        )
        assert not r.task.done()


@on_a_loop
async def test_two_who_let_go_at_once_are_taken_anew_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Retaken(w)
        w.pipeline.let_go(fenced(("scores", 0), 7))
        w.pipeline.let_go(fenced(("changelog", 0), 8))
        await settle()

        assert r.lane.asked == 1


@pytest.mark.parametrize("every_s", [0.0, WITHIN_S / AT_MOST - 1])
def test_who_writes_again_and_again_ends_the_worker(tmp_path: Path, every_s: float) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            r = Retaken(w)
            for _ in range(AT_MOST):
                await r.fence()
                w.now_s += every_s
            assert (r.lane.asked, r.task.done()) == (AT_MOST, False)
            await r.fence()

            assert isinstance(r.task.exception(), FencedError)

    scenario()


@on_a_loop
async def test_who_writes_now_and_then_does_not(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        r = Retaken(w)
        for _ in range(3 * AT_MOST):
            await r.fence()
            w.now_s += WITHIN_S / AT_MOST

        assert (r.lane.asked, r.task.done()) == (3 * AT_MOST, False)
