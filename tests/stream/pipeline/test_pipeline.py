"""An event's way: its score acknowledged, its change acknowledged, on disk, and only then safe.

The broker, the device and the disk answer when the test says so.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.stream.fakes import NOW_MS, EchoScorer, FakeMessage, Sent, click, forget, settle
from tests.stream.world import LATER, LIMITS, on_a_loop, world

pytestmark = pytest.mark.usefixtures("core")

BAD = b"not JSON"


def scores(sent: Sent) -> list[dict[str, Any]]:
    return [json.loads(value) for _, value, _ in sent.records if value is not None]


# --- the order -----------------------------------------------------------------------------------


@on_a_loop
async def test_an_event_is_safe_after_score_changelog_and_disk_in_this_order(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 7))
        assert w.topics == ["scores"]
        assert (w.position, w.stored()) == (7, None)

        w.disk.held = True
        await w.acknowledge("scores")
        assert w.topics == ["scores", "changelog"]
        assert (w.position, w.stored()) == (7, None)

        await w.acknowledge("changelog")
        assert (w.position, w.stored()) == (7, None)

        w.disk.release()
        await settle()
        assert w.position == 8
        stored = w.stored()
        assert stored is not None and stored.applied_offset == 7
        assert w.store.changelog_offset(0) == 0


@on_a_loop
async def test_a_score_is_of_the_event_and_its_record_goes_to_the_same_partition(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 7, item_id="shoe"), partition=1)

        (sent,) = w.publisher.sent
        (score,) = scores(sent)
        assert (sent.partition, sent.keys) == (1, [b"u1"])
        assert score["as_of"] == {"topic": "events", "partition": 1, "offset": 7, "ts": NOW_MS}
        assert score["items"] == [{"item_id": "shoe", "score": 1.0}]
        await w.acknowledge("scores")
        assert (w.publisher.sent[1].topic, w.publisher.sent[1].partition) == ("changelog", 1)


@on_a_loop
async def test_a_late_event_does_not_move_the_time_of_the_score_back(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        await w.acknowledge_all()
        for offset, late_by_ms in ((1, 60_000), (2, 2 * 3_600_000)):  # one is placed, one too late
            await w.feed(click("u1", offset, ts=NOW_MS - late_by_ms))
            await w.acknowledge_all()

        documents = [
            score for sent in w.publisher.sent if sent.topic == "scores" for score in scores(sent)
        ]
        assert [score["as_of"]["offset"] for score in documents] == [0, 1, 2]
        assert [score["as_of"]["ts"] for score in documents] == [NOW_MS] * 3
        horizon_ms = EchoScorer.info.horizon_s * 1000
        assert {score["valid_until"] for score in documents} == {NOW_MS + horizon_ms}


@on_a_loop
async def test_what_is_written_is_what_was_scored_not_what_the_user_has_become(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        await w.feed(click("u1", 1))  # comes while the score of 0 is on its way

        await w.acknowledge("scores")
        await w.acknowledge("changelog")
        stored = w.stored()
        assert stored is not None and (stored.applied_offset, stored.items) == (0, ["i0"])
        assert w.position == 1

        await w.acknowledge_all()
        stored = w.stored()
        assert stored is not None and (stored.applied_offset, stored.items) == (1, ["i0", "i1"])
        assert w.position == 2


@on_a_loop
async def test_a_later_batch_may_be_scored_and_sent_but_not_written_before_an_earlier_one(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))
        await w.feed(click("u2", 1))
        assert w.topics == ["scores", "scores"]

        w.publisher.sent[1].acknowledge()
        await settle()
        assert w.topics == ["scores", "scores"]

        w.publisher.sent[0].acknowledge()
        await settle()
        assert w.topics[2:] == ["changelog"]
        assert w.publisher.sent[2].keys == [b"u1"]

        await w.acknowledge("changelog")
        assert w.publisher.sent[3].keys == [b"u2"]
        assert w.position == 1


@on_a_loop
async def test_no_more_batches_are_on_their_way_than_allowed(tmp_path: Path) -> None:
    async with world(tmp_path, limits=LIMITS._replace(in_flight=2)) as w:
        for offset in range(4):
            await w.feed(click(f"u{offset}", offset))
        assert w.topics == ["scores", "scores"]

        await w.acknowledge("scores")
        await w.acknowledge("changelog")
        await settle()

        # The two that had to wait are one batch now.
        assert w.publisher.unanswered("scores")[-1].keys == [b"u2", b"u3"]


@on_a_loop
async def test_partitions_are_safe_each_by_itself(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0), partition=0)
        await w.feed(click("v1", 5), partition=1)
        await w.acknowledge("scores")
        await w.acknowledge("changelog")

        assert w.pipeline.positions() == {0: 1, 1: 5}


@on_a_loop
async def test_a_partition_that_was_never_read_has_no_position(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        assert w.pipeline.positions() == {}


# --- coalescing ----------------------------------------------------------------------------------


@on_a_loop
async def test_events_of_a_waiting_user_share_one_score_and_the_last_word_is_right(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        w.device.hold()
        await w.feed(click("u0", 0))
        await w.feed(click("u1", 1), click("u1", 2), click("u1", 3))
        assert w.pipeline.waiting_users == 1

        w.device.release()
        await settle()

        (score,) = scores(w.publisher.sent[1])
        assert (score["as_of"]["offset"], score["n_events"]) == (3, 3)
        assert w.position == 0
        await w.acknowledge_all()
        assert w.position == 4


@on_a_loop
async def test_the_first_event_of_a_waiting_user_holds_the_position(tmp_path: Path) -> None:
    async with world(tmp_path, policy=LATER) as w:
        await w.feed(click("u1", 3), click("u2", 4), click("u1", 9))

        assert w.position == 3


@on_a_loop
async def test_a_duplicate_and_a_replay_are_safe_at_once_and_bring_no_score(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 4, event_id="a"))
        await w.acknowledge_all()
        sent = len(w.publisher.sent)

        w.pipeline.revoke()
        w.assign()
        await w.feed(click("u1", 4, event_id="a"), click("u1", 5, event_id="a"))

        assert len(w.publisher.sent) == sent
        assert w.position == 6
        assert (w.events("replayed"), w.events("duplicate")) == (1, 1)
        assert w.metrics.duplicates_skipped._value.get() == 2


# --- dead letters --------------------------------------------------------------------------------


@on_a_loop
async def test_a_dead_letter_holds_the_position_until_it_is_acknowledged(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(FakeMessage(BAD, b"u9", 0), click("u1", 1), partition=1)
        assert w.pipeline.positions() == {1: 0}
        letter = next(sent for sent in w.publisher.sent if sent.topic == "dead")
        assert (letter.partition, letter.records[0][:2]) == (1, (b"u9", BAD))

        await w.acknowledge("scores")
        assert w.pipeline.positions() == {1: 0}
        assert "changelog" not in w.topics

        await w.acknowledge_all()
        assert w.pipeline.positions() == {1: 2}
        assert w.events("dead") == 1


@on_a_loop
async def test_a_dead_letter_that_waits_for_its_batch_holds_the_position_too(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, policy=LATER) as w:
        await w.feed(FakeMessage(BAD, b"u9", 0), click("u1", 1))

        assert (w.topics, w.position) == ([], 0)


@on_a_loop
async def test_a_dead_letter_needs_no_user_to_be_sent(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(FakeMessage(BAD, None, 5))
        assert (w.topics, w.position) == (["dead"], 5)

        await w.acknowledge("dead")
        assert w.position == 6


@on_a_loop
async def test_every_dead_letter_of_a_batch_is_sent_in_order(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(*(FakeMessage(BAD, b"%d" % n, n) for n in range(3)))

        (sent,) = w.publisher.sent
        assert sent.keys == [b"0", b"1", b"2"]
        await w.acknowledge("dead")
        assert w.position == 3


@on_a_loop
async def test_dead_letters_of_any_partition_have_room_in_a_smaller_topic(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.assign({0, 1, 5})
        await w.feed(FakeMessage(BAD, None, 0), partition=5)

        (sent,) = w.publisher.sent
        assert (sent.topic, sent.partition) == ("dead", 5 % 2)
        assert dict(sent.records[0][2])["__streams.errors.partition"] == b"5"


@on_a_loop
async def test_whom_the_scorer_cannot_score_is_a_dead_letter_and_nobody_elses_loss(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, scorer=EchoScorer(["poison"])) as w:
        await w.feed(click("u1", 0), click("u2", 1, item_id="poison"), click("u3", 2))

        good, dead = w.publisher.sent
        assert (good.topic, good.keys) == ("scores", [b"u1", b"u3"])
        assert dead.keys == [b"u2"]
        assert dict(dead.records[0][2])["lately.reason"] == b"unscorable"
        await w.acknowledge_all()
        assert w.position == 3
        assert w.stored("u2") is not None  # what they did is kept, for the next score
        assert w.metrics.dead_letters["unscorable"]._value.get() == 1


# --- what is counted -----------------------------------------------------------------------------


@on_a_loop
async def test_every_message_is_counted_once_and_scores_when_they_are_out(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        late, future = NOW_MS - 2_000, NOW_MS + 2_000
        await w.feed(
            *(click("u1", 0), click("u1", 1, ts=late), click("u1", 2, ts=future)),
            *(FakeMessage(BAD, None, 3), forget("u2", 4)),
        )

        counted = {outcome: w.events(outcome) for outcome in w.metrics.events}
        once = {"applied", "late", "future", "forgotten", "dead"}
        assert counted == {outcome: int(outcome in once) for outcome in counted}
        assert w.metrics.scores["full"]._value.get() == 0
        await w.acknowledge_all()
        assert w.metrics.scores["full"]._value.get() == 1


@on_a_loop
async def test_the_oldest_unscored_event_is_the_oldest_that_waits_or_flies(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        assert w.pipeline.oldest_unscored_ms() is None
        for offset, timestamp in enumerate([NOW_MS + 5, NOW_MS, NOW_MS + 9]):
            message = click(f"u{offset}", offset)
            message.timestamp = timestamp
            await w.feed(message)

        assert w.pipeline.oldest_unscored_ms() == NOW_MS
        await w.acknowledge_all()
        assert w.pipeline.oldest_unscored_ms() is None
