"""Forgetting: state, waiting work and score go, with a receipt; nobody comes back.

At last the marker goes.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from stream.pipeline.batcher import BatchPolicy
from tests.stream.fakes import NOW_MS, click, forget, settle
from tests.stream.world import LATER, LIMITS, World, in_a_world, on_a_loop, world

pytestmark = pytest.mark.usefixtures("core")


@in_a_world()
async def test_a_forgotten_users_score_is_a_null_and_their_state_a_marker(w: World) -> None:
    await w.feed(click("u1", 0))
    await w.acknowledge_all()

    await w.feed(forget("u1", 1))
    assert w.publisher.sent[-1].topic == "scores"
    headers = [("lately.applied_offset", b"1"), ("lately.group", b"shop")]
    assert w.publisher.sent[-1].records == [(b"u1", None, headers)]
    assert w.position == 1

    await w.acknowledge_all()
    stored = w.stored()
    assert stored is not None and stored.forgotten and stored.items == []
    assert w.position == 2


@in_a_world()
async def test_who_waits_and_is_forgotten_gets_no_score_any_more(w: World) -> None:
    w.device.hold()
    await w.feed(click("u0", 0))
    await w.feed(click("u1", 1), forget("u1", 2))
    w.device.release()
    await settle()
    await w.acknowledge_all()

    assert w.publisher.log("scores", 0)[1:] == [(b"u1", None)]


@in_a_world()
async def test_a_score_on_its_way_is_followed_by_the_null(w: World) -> None:
    await w.feed(click("u1", 0))
    await w.feed(forget("u1", 1))
    await w.acknowledge_all()

    assert [value is None for _, value in w.publisher.log("scores", 0)] == [False, True]


@in_a_world(policy=LATER)
async def test_who_waits_and_comes_back_after_the_forget_has_a_score_of_the_new_alone(
    w: World,
) -> None:
    await w.feed(click("u1", 0), forget("u1", 1), click("u1", 2))
    await w.pipeline.drain(timeout_s=0.01)

    ((_, value, _),) = w.publisher.sent[0].records
    assert value is not None
    assert json.loads(value)["n_events"] == 1


async def forgotten(w: World) -> None:
    await w.feed(click("u1", 0), forget("u1", 1))
    await w.acknowledge_all()


@in_a_world()
async def test_the_marker_goes_when_the_commit_has_passed_it_and_not_before(w: World) -> None:
    await forgotten(w)
    w.pipeline.mark_committed({0: 1})  # up to the forget, without it
    await settle()
    assert w.publisher.unanswered() == []

    assert await w.commit() == {0: 2}
    tombstone = w.publisher.sent[-1]
    header = (
        "lately.applied_offset",
        b"1",
    )  # of the forget: a rebuild must know how far it goes
    assert (tombstone.topic, tombstone.records) == ("changelog", [(b"u1", None, [header])])
    assert w.stored() is not None

    await w.acknowledge_all()
    assert w.stored() is None
    assert w.store.markers(0) == frozenset()
    assert w.position == 2


@in_a_world(limits=LIMITS._replace(forget_marker_s=600.0))
async def test_the_marker_stays_for_as_long_as_a_lost_workers_record_may_be_on_its_way(
    w: World,
) -> None:
    await forgotten(w)
    await w.commit()
    for w.now_s in (1.0, 599.9):
        await w.commit()
        assert w.publisher.unanswered() == []

    w.now_s = 600.0
    w.pipeline.mark_committed({})  # nothing new came, and the committer looks all the same
    await settle()
    await w.acknowledge_all()

    assert w.stored() is None
    assert w.publisher.log("changelog", 0)[-1] == (b"u1", None)


@in_a_world()
async def test_a_replay_from_before_the_forget_brings_nobody_back(w: World) -> None:
    await forgotten(w)
    w.pipeline.revoke()
    w.assign()
    sent = len(w.publisher.sent)

    await w.feed(click("u1", 0), forget("u1", 1))

    assert len(w.publisher.sent) == sent
    assert w.events("replayed") == 2


@in_a_world()
async def test_a_marker_found_on_disk_goes_too_once_the_commit_has_passed_it(w: World) -> None:
    await forgotten(w)
    w.pipeline.revoke()
    w.assign()

    await w.feed(click("u2", 2))
    await w.acknowledge_all()
    await w.commit()
    await w.acknowledge_all()

    assert w.stored() is None
    assert w.publisher.log("changelog", 0)[-1] == (b"u1", None)


@in_a_world()
async def test_who_comes_back_before_the_marker_goes_is_kept(w: World) -> None:
    await forgotten(w)
    w.device.hold()
    await w.feed(click("u2", 2))  # keeps the device
    await w.feed(click("u1", 3))  # back, and waiting
    w.pipeline.mark_committed({0: 2})
    w.device.release()
    await settle()
    await w.acknowledge_all()
    await w.commit()
    await w.acknowledge_all()

    stored = w.stored()
    assert stored is not None and stored.items == ["i3"]
    assert (b"u1", None) not in w.publisher.log("changelog", 0)


@in_a_world()
async def test_who_comes_back_while_the_marker_is_going_starts_afresh_and_stays(w: World) -> None:
    await forgotten(w)
    await w.commit()  # the tombstone is on its way
    await w.feed(click("u1", 2))
    await w.acknowledge_all()

    stored = w.stored()
    assert stored is not None and (stored.items, stored.forgotten) == (["i2"], False)
    assert w.publisher.log("changelog", 0)[-1][1] == stored.to_bytes()


@in_a_world()
async def test_who_is_forgotten_twice_is_deleted_after_the_second(w: World) -> None:
    await forgotten(w)
    await w.feed(forget("u1", 2))
    w.pipeline.mark_committed({0: 2})
    await settle()
    later = w.publisher.sent[3:]
    assert [r for s in later if s.topic == "changelog" for r in s.records if r[1] is None] == []

    await w.acknowledge_all()
    await w.commit()
    await w.acknowledge_all()

    assert w.stored() is None


def receipts(w: World, partition: int = 0) -> dict[str, dict[str, Any]]:
    """The receipts that the broker has, by key; none twice."""
    log = [(key.decode(), json.loads(value or b"")) for key, value in w.publisher.log("receipts")]
    assert len(dict(log)) == len(log)
    return dict(log)


@in_a_world()
async def test_a_receipt_tells_the_event_the_group_and_no_user(w: World) -> None:
    await w.feed(forget("u1", 7), partition=1)
    await w.acknowledge_all()

    (key, receipt), *_ = receipts(w).items()
    assert key == "1-7"
    assert receipt["forget"] == {"topic": "events", "partition": 1, "offset": 7, "ts": NOW_MS}
    assert receipt["group"] == "shop"
    assert set(receipt) == {"receipt_id", "forget", "forgotten_at", "group", "removed"}


@in_a_world()
async def test_a_receipt_waits_for_the_broker_to_have_the_null(w: World) -> None:
    await w.feed(click("u1", 0), forget("u1", 1))
    assert w.topics == ["scores"]

    await w.acknowledge("scores")
    assert w.topics == ["scores", "receipts"]


@in_a_world()
async def test_nothing_is_committed_or_kept_before_the_receipt_is_acknowledged(w: World) -> None:
    await w.feed(forget("u1", 0))
    await w.acknowledge("scores")
    assert (w.position, w.stored()) == (0, None)

    await w.acknowledge("receipts")
    assert w.topics == ["scores", "receipts", "changelog"]
    await w.acknowledge_all()
    assert w.position == 1


@in_a_world(policy=LATER)
async def test_who_is_forgotten_and_comes_back_at_once_has_a_receipt_and_a_score(w: World) -> None:
    await w.feed(forget("u1", 0), click("u1", 1), forget("u1", 2), click("u1", 3))
    await w.pipeline.drain(timeout_s=0.01)
    await w.acknowledge_all()

    assert list(receipts(w)) == ["0-0", "0-2"]
    assert len(w.publisher.log("scores")) == 1


@on_a_loop
async def test_a_receipt_comes_with_its_user_and_not_with_an_earlier_batch(tmp_path: Path) -> None:
    one_by_one = BatchPolicy(close_users=1, max_users=1, deadline_s=0.0)
    async with world(tmp_path, policy=one_by_one) as w:
        w.device.hold()
        await w.feed(click("u0", 0), click("u1", 1), forget("u2", 2))
        w.device.release()
        await settle()
        # u0 and u1 each fill a batch: theirs owe no receipt, and u2's score still stands.
        sent = [s for s in w.publisher.sent if s.topic == "scores"]
        assert [s.keys for s in sent[:2]] == [[b"u0"], [b"u1"]]
        assert receipts(w) == {}

        await w.acknowledge_all()
        assert list(receipts(w)) == ["0-2"]
        assert w.position == 3


@in_a_world()
async def test_a_replayed_forget_has_no_second_receipt(w: World) -> None:
    await forgotten(w)
    w.pipeline.revoke()
    w.assign()
    await w.feed(click("u1", 0), forget("u1", 1))
    await w.acknowledge_all()

    assert list(receipts(w)) == ["0-1"]


@in_a_world()
async def test_a_receipt_lost_with_its_worker_comes_again_with_the_same_id(w: World) -> None:
    for _ in range(2):  # the second is the next owner's, from the last commit
        await w.feed(forget("u1", 0))
        await w.acknowledge("scores")
        w.pipeline.revoke()  # with the receipt on its way: the changelog is never written
        await w.acknowledge("receipts")
        w.assign()

    assert "changelog" not in w.topics
    first, second = [v for _, v in w.publisher.log("receipts")]
    assert first is not None and second is not None
    assert json.loads(first)["receipt_id"] == json.loads(second)["receipt_id"]


@in_a_world()
async def test_a_receipt_says_whether_there_was_anybody_to_forget(w: World) -> None:
    await w.feed(click("u1", 0))
    await w.acknowledge_all()
    # u1 has state on disk, u2 only in memory, u3 nothing; u1 is forgotten already at 4, and
    # has come back by 6.
    await w.feed(forget("u1", 1), click("u2", 2), forget("u2", 3), forget("u1", 4))
    await w.feed(click("u1", 5), forget("u1", 6), forget("u3", 7))
    await w.acknowledge_all()

    assert {key: receipt["removed"] for key, receipt in receipts(w).items()} == {
        "0-1": True,
        "0-3": True,
        "0-4": False,
        "0-6": True,
        "0-7": False,
    }


@in_a_world()
async def test_a_forget_removes_the_user_from_the_partition_it_lies_in_and_from_no_other(
    w: World,
) -> None:
    for partition in (0, 1):
        await w.feed(click("u1", 0), partition=partition)
    await w.feed(forget("u1", 1), partition=1)
    await w.acknowledge_all()

    here, there = w.stored(partition=0), w.stored(partition=1)
    assert here is not None and here.items == ["i0"]
    assert there is not None and there.forgotten
