"""Foreign records are seen where we write nothing; those of the next owner are not foreign."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import pytest

from stream.errors import FencedError, OtherGroupError
from stream.group.faust_consumer import FaustConsumer
from stream.health import Health
from stream.kafka.write_fence import TopicPartition
from stream.worker.monitor import Monitor
from tests.stream.fakes import click, settle
from tests.stream.world import World, in_a_world, on_a_loop, world

SCORES = ("scores", 0)


class FakeConsumer(FaustConsumer):
    """A consumer that reports this end; ``meanwhile`` happens while it is asked."""

    def __init__(self, w: World, end: int) -> None:
        self.world, self.end = w, end
        self.meanwhile = ""
        self.asked = 0

    async def fetch_ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        assert partitions, (
            "asked before there is anything to ask for: Faust's consumer may be missing"
        )
        await asyncio.sleep(0)
        self.asked += 1
        if self.meanwhile == "partitions are lost":
            self.world.fence.reset({})
        elif self.meanwhile == "no heartbeat is answered":
            self.world.ours = False
        elif self.meanwhile == "we write":
            await self.world.feed(click("u2", 1))
        return {SCORES: self.end}


async def watched(w: World, consumer: FakeConsumer) -> None:
    """Check at least three times."""
    monitor = Monitor(Health(0.0), w.metrics)
    held = w.pipeline._may_write
    watch = monitor.watch_idle_ends(w.pipeline, consumer, w.fence, held, every_s=0)
    task = asyncio.create_task(watch)
    for _ in range(20):  # turns of the loop; each check takes two or three
        await asyncio.sleep(0)
    await settle()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task  # raises its error


async def one_score(w: World) -> None:
    await w.feed(click("u1", 0))
    await w.acknowledge_all()
    assert w.fence.idle_ends() == {SCORES: 1, ("changelog", 0): 1}


@in_a_world()
async def test_an_end_that_is_ours_is_no_foreign_write(w: World) -> None:
    await one_score(w)
    await watched(w, FakeConsumer(w, end=1))

    assert (w.failure(), w.pipeline.fenced.empty()) == (None, True)


@in_a_world()
async def test_a_record_after_our_last_one_releases_all_partitions(w: World) -> None:
    await one_score(w)
    await watched(w, FakeConsumer(w, end=2))

    assert isinstance(w.pipeline.fenced.get_nowait(), FencedError)
    assert (w.failure(), w.pipeline.partitions) == (None, frozenset())


@in_a_world()
async def test_a_record_of_a_tolerated_group_is_noted_and_nothing_released(w: World) -> None:
    await one_score(w)
    w.fence.tolerate("scores")
    await watched(w, FakeConsumer(w, end=2))

    assert w.pipeline.fenced.empty()
    assert (w.fence.idle_ends()[SCORES], w.fence.ends("scores")) == (2, {0: 1})


@in_a_world()
async def test_when_the_tolerance_is_over_the_partitions_are_assigned_anew(w: World) -> None:
    await one_score(w)
    w.fence.tolerate("scores")
    w.fence.note_foreign(SCORES, 2)
    w.fence._tolerated["scores"] = 0.0
    await watched(w, FakeConsumer(w, end=2))

    assert isinstance(w.pipeline.fenced.get_nowait(), OtherGroupError)


@in_a_world()
async def test_before_our_first_record_nothing_is_asked(w: World) -> None:
    consumer = FakeConsumer(w, end=2)
    await watched(w, consumer)

    assert (consumer.asked, w.pipeline.fenced.empty()) == (0, True)


@pytest.mark.parametrize(
    "meanwhile", ["partitions are lost", "no heartbeat is answered", "we write"]
)
def test_a_write_of_the_next_owner_or_of_ours_is_not_foreign(
    tmp_path: Path, meanwhile: str
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await one_score(w)
            consumer = FakeConsumer(w, end=2)
            consumer.meanwhile = meanwhile
            await watched(w, consumer)

            assert (w.failure(), w.pipeline.fenced.empty()) == (None, True)

    scenario()
