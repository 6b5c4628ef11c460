"""The scoring handler: in which order partitions are recovered, repaired, served and given up."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from stream.errors import FencedError, StateError
from stream.group.offset_metadata import OffsetMetadata
from stream.worker.scoring_handler import ScoringHandler
from tests.stream.fakes import click, settle
from tests.stream.world import TOPICS, World, on_a_loop, world


class Recovering:
    """Stands for recovery and for score repair, and writes down their order."""

    def __init__(self, w: World) -> None:
        self.calls: list[Any] = []
        self.error: Exception | None = None
        stand_in: Any = self
        self.handler = ScoringHandler(
            w.pipeline, stand_in, stand_in, w.store, w.fence, TOPICS.scores
        )

    async def recover(self, partitions: Iterable[int]) -> None:
        self.calls.append(("recover", sorted(partitions)))

    async def read(self, committed: Mapping[int, OffsetMetadata | None]) -> str:
        self.calls.append(("read scores", sorted(committed)))
        return "tails"

    async def repair(self, tails: str) -> None:
        self.calls.append(("repair scores", tails))
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

        assert r.calls == [("read scores", [0]), ("recover", [0]), ("repair scores", "tails")]
        assert w.pipeline.partitions == frozenset({0})
        await r.handler.ingest(0, [click("u1", 4)])
        await settle()
        await w.acknowledge_all()
        assert r.handler.offsets() == {0: OffsetMetadata(5, "scores_end=1")}


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
