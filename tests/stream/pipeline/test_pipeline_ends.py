"""How the way of an event ends early: drained, revoked, failed; and how it is slowed down."""

import asyncio
from pathlib import Path

import pytest
from aiokafka.errors import KafkaTimeoutError

from stream.errors import DamagedState, DeliveryError, FencedError, ScoringError, StateError
from stream.pipeline import pipeline as pipeline_module
from stream.user_state import UserState
from tests.stream.fakes import FakeMessage, click, settle
from tests.stream.world import LATER, LIMITS, World, on_a_loop, world

pytestmark = pytest.mark.usefixtures("core")

# --- draining ------------------------------------------------------------------------------------


@on_a_loop
async def test_draining_closes_the_batch_at_once_and_ends_when_all_is_safe(tmp_path: Path) -> None:
    async with world(tmp_path, policy=LATER) as w:
        await w.feed(click("u1", 0), FakeMessage(b"bad", None, 1))
        assert w.topics == []

        draining = asyncio.create_task(w.pipeline.drain(timeout_s=60))
        while not draining.done():
            await w.acknowledge_all()
            await asyncio.sleep(0.001)

        assert draining.result()
        assert w.position == 2


@on_a_loop
async def test_draining_gives_up_in_time_and_says_so(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))

        assert not await w.pipeline.drain(timeout_s=0.01)
        assert w.position == 0


@on_a_loop
async def test_there_is_nothing_to_drain_when_nobody_waits(tmp_path: Path) -> None:
    async with world(tmp_path, policy=LATER) as w:
        assert await w.pipeline.drain(timeout_s=60)

        # Draining is over: a batch waits for its deadline again.
        await w.feed(click("u1", 0))
        assert w.topics == []


@on_a_loop
async def test_draining_after_a_failure_ends_at_once_without_success(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.device.error = ScoringError("it hangs")
        await w.feed(click("u1", 0))

        assert not await w.pipeline.drain(timeout_s=60)


# --- revoked -------------------------------------------------------------------------------------


@on_a_loop
async def test_a_batch_revoked_on_the_device_sends_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.device.hold()
        await w.feed(click("u1", 0))

        w.pipeline.revoke()
        w.device.release()
        await settle()

        assert (w.topics, w.pipeline.positions(), w.failure()) == ([], {}, None)


@on_a_loop
async def test_a_batch_revoked_before_its_scores_are_acknowledged_writes_nothing(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))

        w.pipeline.revoke()
        await w.acknowledge("scores")

        assert w.topics == ["scores"]
        assert (w.stored(), w.failure()) == (None, None)


def test_nothing_is_sent_while_nobody_knows_whose_the_partitions_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "POLL_S", 0)  # looks again at once

    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            w.ours = False
            await w.feed(click("u1", 0))
            assert w.topics == []

            w.ours = True  # a heartbeat was answered
            await settle()
            assert w.topics == ["scores"]
            w.ours = False
            await w.acknowledge("scores")
            assert w.topics == ["scores"]

            w.ours = True
            await settle()
            assert w.topics == ["scores", "changelog"]

    scenario()


@on_a_loop
async def test_a_stranger_in_our_changelog_has_all_partitions_taken_anew(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        await w.acknowledge_all()
        await w.publisher.send("changelog", 0, [(b"u2", b"late", [])])
        await w.acknowledge_all()
        assert w.failure() is None

        await w.feed(click("u1", 1))
        await w.acknowledge_all()

        assert isinstance(w.pipeline.fenced.get_nowait(), FencedError)
        # What the stranger may have spoilt is not committed, and nothing else of before is.
        assert (w.failure(), w.pipeline.positions()) == (None, {})
        w.assign()
        await w.feed(click("u1", 1))
        await w.acknowledge_all()
        assert (w.failure(), w.position) == (None, 2)


@on_a_loop
async def test_batches_behind_the_one_that_met_a_stranger_say_nothing_of_their_own(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        await w.acknowledge_all()
        await w.publisher.send("scores", 0, [(b"u2", b"late", [])])
        await w.acknowledge_all()
        await w.feed(click("u1", 1))
        await w.feed(click("u1", 2))
        await w.acknowledge("scores")
        assert isinstance(w.pipeline.fenced.get_nowait(), FencedError)

        w.assign()  # while the second batch still has its scores on their way
        await w.acknowledge_all()

        assert (w.failure(), w.pipeline.fenced.empty()) == (None, True)
        await w.feed(click("u1", 1), click("u1", 2))
        await w.acknowledge_all()
        assert (w.failure(), w.position) == (None, 3)


@on_a_loop
async def test_records_whose_place_the_broker_forgot_are_nobody_else_s(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        await w.acknowledge_all()
        await w.feed(click("u1", 1))
        await w.acknowledge("scores")
        w.publisher.unanswered("changelog")[0]._replace(offset=-1).acknowledge()  # a retry
        await settle()
        await w.feed(click("u1", 2))
        await w.acknowledge_all()

        assert (w.failure(), w.position) == (None, 3)


@on_a_loop
async def test_what_others_wrote_before_the_partitions_were_ours_is_no_matter(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        await w.acknowledge_all()
        w.pipeline.revoke()
        await w.publisher.send("changelog", 0, [(b"u2", b"another's", [])])
        await w.acknowledge_all()

        w.assign()
        await w.feed(click("u1", 1))
        await w.acknowledge_all()

        assert w.failure() is None


@on_a_loop
async def test_partitions_that_are_lost_meanwhile_get_nothing(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        w.ours = False
        await w.acknowledge("scores")
        assert not await w.pipeline.wait_idle(0.0)

        w.pipeline.revoke()
        w.ours = True  # of the next assignment

        assert await w.pipeline.wait_idle(5.0)
        assert (w.topics, w.failure()) == (["scores"], None)


@pytest.mark.parametrize("held", ["changelog", "disk"])
def test_a_batch_revoked_before_the_disk_has_it_does_no_harm(tmp_path: Path, held: str) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.feed(click("u1", 0))
            w.disk.held = held == "disk"
            await w.acknowledge("scores")
            if held == "disk":
                await w.acknowledge("changelog")

            w.pipeline.revoke()
            w.store.close(0)  # the partition is another worker's
            w.assign({1})
            await w.acknowledge_all()
            w.disk.release()
            await settle()

            assert w.failure() is None
            assert not w.runner.done()

    scenario()


@on_a_loop
async def test_whoever_waits_when_partitions_are_revoked_comes_again(tmp_path: Path) -> None:
    async with world(tmp_path, policy=LATER) as w:
        await w.feed(click("u1", 0), FakeMessage(b"bad", None, 1))

        w.pipeline.revoke()
        assert (w.pipeline.waiting_users, w.pipeline.positions()) == (0, {})
        w.assign()
        await w.feed(click("u1", 0), FakeMessage(b"bad", None, 1))

        assert (w.pipeline.waiting_users, w.position) == (1, 0)
        assert w.events("replayed") == 0


@on_a_loop
async def test_what_was_in_memory_alone_is_forgotten_with_the_assignment(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        w.pipeline.revoke()
        await w.acknowledge_all()
        w.assign()

        await w.feed(click("u1", 0))
        await w.acknowledge_all()

        stored = w.stored()
        assert stored is not None and stored.items == ["i0"]
        assert w.position == 1


@on_a_loop
async def test_messages_of_a_partition_that_is_not_ours_are_dropped(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0), partition=7)

        assert (w.topics, w.pipeline.positions()) == ([], {})


@on_a_loop
async def test_a_list_cut_off_by_a_revocation_is_not_finished_in_the_next_assignment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "CHUNK", 1)
    async with world(tmp_path, policy=LATER) as w:
        feeding = asyncio.create_task(w.feed(click("u1", 0), click("u2", 1)))
        await asyncio.sleep(0)  # the first chunk is in
        w.pipeline.revoke()
        w.assign()
        await feeding

        assert (w.pipeline.waiting_users, w.position) == (0, None)


# --- failed --------------------------------------------------------------------------------------


async def refuse(w: World, topic: str) -> None:
    w.publisher.unanswered(topic)[0].answer.set_exception(KafkaTimeoutError())
    await settle()


@pytest.mark.parametrize("topic", ["scores", "dead", "changelog"])
def test_a_record_the_broker_refuses_fails_the_pipeline_and_freezes_the_position(
    tmp_path: Path, topic: str
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.feed(FakeMessage(b"bad", None, 4), click("u1", 5))
            for before in {"scores": [], "dead": ["scores"], "changelog": ["scores", "dead"]}[
                topic
            ]:
                await w.acknowledge(before)
            await refuse(w, topic)

            failure = w.failure()
            assert isinstance(failure, DeliveryError)
            assert str(failure).startswith(f"{topic}: ")
            assert w.runner.done()
            await w.acknowledge_all()
            assert (w.position, w.stored()) == (4, None)

    scenario()


@on_a_loop
async def test_what_follows_a_failed_batch_is_never_safe(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        await w.feed(click("u2", 1))
        await refuse(w, "scores")
        await w.acknowledge_all()

        assert (w.position, w.stored("u2")) == (0, None)
        assert "changelog" not in w.topics


@on_a_loop
async def test_what_is_before_a_failed_batch_may_still_become_safe(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        await w.feed(click("u2", 1))
        w.publisher.sent[1].answer.set_exception(KafkaTimeoutError())
        await w.acknowledge_all()

        assert isinstance(w.failure(), DeliveryError)
        assert w.stored() is not None
        assert w.position == 1


@on_a_loop
async def test_a_scorer_that_hangs_fails_the_pipeline(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.device.error = ScoringError("the scorer did not answer")
        await w.feed(click("u1", 3))

        assert isinstance(w.failure(), ScoringError)
        assert (w.topics, w.position) == ([], 3)


@on_a_loop
async def test_a_disk_that_cannot_be_read_fails_the_pipeline_and_names_the_partition(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:

        def damaged(partition: int, keys: list[bytes]) -> list[bytes]:
            raise DamagedState(partition, Exception("Corruption: block checksum mismatch"))

        monkeypatch.setattr(w.store, "get_many", damaged)
        await w.feed(click("u1", 0))

        failure = w.failure()
        assert isinstance(failure, DamagedState)
        assert failure.partition == 0
        assert w.pipeline.positions() == {}


@on_a_loop
async def test_a_state_of_another_version_fails_the_pipeline_and_is_no_damage(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        w.store.write(0, [(b"u1", b"\x03from the future")], changelog_offset=0)
        await w.feed(click("u1", 0))

        failure = w.failure()
        assert isinstance(failure, StateError)
        assert not isinstance(failure, DamagedState)
        assert "format 03" in str(failure)


@on_a_loop
async def test_a_marker_of_another_version_is_a_state_error_too(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.store.write(0, [(b"u1", b"\x03\xc3")], changelog_offset=0)

        with pytest.raises(StateError, match="format 03"):
            w.assign()


@on_a_loop
async def test_a_disk_that_takes_no_more_fails_the_pipeline_as_a_state_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        monkeypatch.setattr(w.store, "_partitions", {0: Full()})
        await w.acknowledge_all()

        assert isinstance(w.failure(), StateError)
        assert w.position == 0


class Full:
    """A database on a disk that is full."""

    def write(self, batch: object) -> None:
        raise Exception("IO error: No space left on device")  # as rocksdict's

    def close(self) -> None:
        """Nothing to close."""


# --- slowed down ---------------------------------------------------------------------------------


@on_a_loop
async def test_a_reader_waits_while_too_many_users_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "CHUNK", 2)
    async with world(tmp_path, limits=LIMITS._replace(pending_users=3)) as w:
        w.device.hold()
        await w.feed(click("u0", 0))  # lies on the device
        feeding = asyncio.create_task(w.feed(*(click(f"u{n}", n) for n in range(1, 10))))
        await settle()
        assert not feeding.done()
        assert w.pipeline.waiting_users == 4  # two chunks: the second made it one too many

        w.device.release()
        await settle()
        await w.acknowledge_all()
        await feeding

        assert w.position == 10


@on_a_loop
async def test_a_reader_that_waits_is_let_go_when_partitions_are_revoked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "CHUNK", 1)
    async with world(tmp_path, policy=LATER, limits=LIMITS._replace(pending_users=1)) as w:
        feeding = asyncio.create_task(w.feed(*(click(f"u{n}", n) for n in range(5))))
        await settle()
        assert not feeding.done()

        w.pipeline.revoke()
        await feeding

        assert w.pipeline.waiting_users == 0


@on_a_loop
async def test_users_come_back_from_disk_when_memory_has_room_for_one(tmp_path: Path) -> None:
    async with world(tmp_path, limits=LIMITS._replace(cache_users=2)) as w:
        for offset in range(12):
            await w.feed(click(f"u{offset % 4}", offset, item_id=f"i{offset}"))
            await w.acknowledge_all()

        stored = [w.stored(f"u{n}") or UserState() for n in range(4)]
        assert [state.items for state in stored] == [
            [f"i{n}", f"i{n + 4}", f"i{n + 8}"] for n in range(4)
        ]
