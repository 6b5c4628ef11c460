"""Late records of others are seen where we write nothing, and the next owner's are none of them."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from stream.errors import FencedError
from stream.group.faust_consumer import Lane
from stream.health import Health
from stream.kafka.write_fence import Place
from stream.worker.monitor import Lookout
from tests.stream.fakes import click, settle
from tests.stream.world import World, on_a_loop, world

SCORES = ("scores", 0)


class FakeLane(Lane):
    """A broker where the partitions end; what happens while it is asked happens then."""

    def __init__(self, w: World, end: int) -> None:
        self.world, self.end = w, end
        self.meanwhile = ""
        self.asked = 0

    async def ends_of(self, places: Iterable[Place]) -> dict[Place, int]:
        assert places, "asked before there is anything to ask for: Faust's consumer may be missing"
        await asyncio.sleep(0)
        self.asked += 1
        if self.meanwhile == "partitions are lost":
            self.world.succession.start_over({})
        elif self.meanwhile == "no heartbeat is answered":
            self.world.ours = False
        elif self.meanwhile == "we write":
            await self.world.feed(click("u2", 1))
        return {SCORES: self.end}


async def watched(w: World, lane: FakeLane) -> None:
    """Look three times, and more."""
    lookout = Lookout(Health(0.0), w.metrics)
    held = w.pipeline._may_write
    watch = lookout.watch_for_others(w.pipeline, lane, w.succession, held, every_s=0)
    task = asyncio.create_task(watch)
    for _ in range(20):  # turns of the loop, of which each look takes two or three
        await asyncio.sleep(0)
    await settle()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task  # raises what it ended of


async def one_score(w: World) -> None:
    await w.feed(click("u1", 0))
    await w.acknowledge_all()
    assert w.succession.at_rest() == {SCORES: 1, ("changelog", 0): 1}


@on_a_loop
async def test_nobody_else_wrote_where_the_end_is_ours(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await one_score(w)
        await watched(w, FakeLane(w, end=1))

        assert (w.failure(), w.pipeline.fences.empty()) == (None, True)


@on_a_loop
async def test_a_record_behind_our_last_one_has_all_partitions_taken_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await one_score(w)
        await watched(w, FakeLane(w, end=2))

        assert isinstance(w.pipeline.fences.get_nowait(), FencedError)
        assert (w.failure(), w.pipeline.partitions) == (None, frozenset())


@on_a_loop
async def test_before_we_have_written_anything_nobody_is_asked(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        lane = FakeLane(w, end=2)
        await watched(w, lane)

        assert (lane.asked, w.pipeline.fences.empty()) == (0, True)


@pytest.mark.parametrize(
    "meanwhile", ["partitions are lost", "no heartbeat is answered", "we write"]
)
def test_who_writes_meanwhile_may_do_so(tmp_path: Path, meanwhile: str) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await one_score(w)
            lane = FakeLane(w, end=2)
            lane.meanwhile = meanwhile
            await watched(w, lane)

            assert (w.failure(), w.pipeline.fences.empty()) == (None, True)

    scenario()
