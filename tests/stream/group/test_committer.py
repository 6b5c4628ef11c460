"""The committer tells Kafka what is safe, once, and nothing more after a failure."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from aiokafka.errors import KafkaConnectionError

from stream.group.committer import Committer
from stream.group.faust_consumer import FaustConsumer
from stream.group.offset_metadata import OffsetMetadata
from tests.stream.fakes import click, forget, settle
from tests.stream.world import LIMITS, World, on_a_loop, world


class FakeConsumer(FaustConsumer):
    """A group that accepts commits or not."""

    def __init__(self) -> None:
        self.committed: list[dict[int, int]] = []
        self.metadata: list[dict[int, str]] = []
        self.accepted = True
        self.error: Exception | None = None

    async def commit(self, offsets: Mapping[int, OffsetMetadata]) -> bool:
        self.committed.append({partition: commit.offset for partition, commit in offsets.items()})
        self.metadata.append({p: commit.metadata for p, commit in offsets.items()})
        if self.error is not None:
            raise self.error
        return self.accepted


def committer(w: World) -> tuple[Committer, FakeConsumer]:
    consumer = FakeConsumer()
    return Committer(w.handler, consumer, w.metrics.commits), consumer


async def safe(w: World, *offsets: int) -> None:
    for offset in offsets:
        await w.feed(click("u1", offset))
    await w.acknowledge_all()


@on_a_loop
async def test_what_is_safe_is_committed_once(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        subject, consumer = committer(w)
        await subject.commit()
        await safe(w, 0)
        await subject.commit()
        await subject.commit()
        await w.feed(click("v1", 4), partition=1)
        await subject.commit()

        # First partition 0 alone; then partition 1, up to the event that is on its way.
        assert consumer.committed == [{0: 1}, {1: 4}]
        # The score in partition 1 is not acknowledged yet, so the end of its scores is unknown.
        always = "scores_topic=scores,events_id=topic-1,changelog_id=changelog-1"
        assert consumer.metadata == [
            {0: f"scores_end=1,{always},changelog_end=1"},
            {1: f"{always},changelog_end=0"},
        ]
        assert w.metrics.commits["ok"]._value.get() == 2


@pytest.mark.parametrize("error", [None, KafkaConnectionError()])
def test_a_commit_that_was_not_accepted_is_tried_again(
    tmp_path: Path, error: Exception | None
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            subject, consumer = committer(w)
            await safe(w, 0)
            consumer.accepted, consumer.error = False, error
            await subject.commit()
            consumer.accepted, consumer.error = True, None
            await subject.commit()

            assert consumer.committed == [{0: 1}, {0: 1}]
            assert w.metrics.commits["failed"]._value.get() == 1

    scenario()


@pytest.mark.parametrize("accepted", [True, False])
def test_what_is_forgotten_is_deleted_once_that_is_committed(
    tmp_path: Path, accepted: bool
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            subject, consumer = committer(w)
            await safe(w, 0)
            await w.feed(forget("u1", 1))
            await w.acknowledge_all()
            consumer.accepted = accepted
            await subject.commit()
            await settle()
            await w.acknowledge_all()

            assert (w.stored() is None) == accepted

    scenario()


@on_a_loop
async def test_what_is_forgotten_is_deleted_in_time_without_news_to_commit(tmp_path: Path) -> None:
    async with world(tmp_path, limits=LIMITS._replace(forget_marker_s=600.0)) as w:
        subject, consumer = committer(w)
        await w.feed(forget("u1", 0))
        await w.acknowledge_all()
        await subject.commit()
        w.now_s = 600.0
        await subject.commit()
        await settle()
        await w.acknowledge_all()

        assert (consumer.committed, w.stored()) == ([{0: 1}], None)


@on_a_loop
async def test_after_a_failure_nothing_is_committed(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        subject, consumer = committer(w)
        await safe(w, 0)
        w.pipeline.failed.set_exception(RuntimeError("the broker refused a record"))
        await subject.commit()

        assert consumer.committed == []


@on_a_loop
async def test_after_a_new_assignment_everything_is_committed_again(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        subject, consumer = committer(w)
        await safe(w, 0)
        await subject.commit()
        subject.reset({0: OffsetMetadata(1), 1: None})
        await subject.commit()

        assert consumer.committed == [{0: 1}, {0: 1}]


@on_a_loop
async def test_the_offsets_of_the_group_are_those_of_the_assignment_and_then_our_commits(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        subject, consumer = committer(w)
        subject.reset({0: None, 1: OffsetMetadata(4)})
        await safe(w, 0)
        before = dict(subject.committed())
        consumer.accepted = False  # the group has moved on
        await subject.commit()
        refused = dict(subject.committed())
        consumer.accepted = True
        await subject.commit()

        assert (before, refused) == ({1: 4}, {1: 4})
        assert subject.committed() == {0: 1, 1: 4}
