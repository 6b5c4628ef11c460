"""Users who do not come back leave disk, changelog and scores; whoever comes back stays."""

import asyncio
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from stream.user_state import UserState
from stream.worker.expiry import STEP_USERS, EventClock, ExpirySweep
from tests.stream.fakes import NOW_MS, FakeMessage, click, forget, settle
from tests.stream.world import LATER, LIMITS, RULES, World, in_a_world, on_a_loop, world

TTL_MS = RULES.ttl_ms
HOUR_MS = 3_600_000


class Clock:
    """A wall clock that a test sets."""

    def __init__(self, now_ms: int = NOW_MS) -> None:
        self.ms = now_ms

    def __call__(self) -> int:
        return self.ms


class Sleeps:
    """Sleeps that end at once. Everything goes as far as it can; a broker may answer meanwhile."""

    def __init__(self, answering: World | None = None) -> None:
        self.seconds: list[float] = []
        self._answering = answering

    async def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await settle()
        if self._answering is not None:
            await self._answering.acknowledge_all()


async def sweep(w: World, now_ms: int, sleeps: Sleeps | None = None) -> None:
    """One round, at this time of the clock; the broker takes what is sent."""
    await ExpirySweep(w.pipeline, w.store, TTL_MS, Clock(now_ms), sleeps or Sleeps()).sweep()
    await settle()
    await w.acknowledge_all()


async def safe(w: World) -> None:
    """Everything is acknowledged and committed."""
    await w.acknowledge_all()
    await w.commit()


def act(user: str, offset: int, at_ms: int, **fields: object) -> FakeMessage:
    """A click at a time at which it was also recorded."""
    message = click(user, offset, ts=at_ms, **fields)
    message.timestamp = at_ms
    return message


async def one_old_one_new(w: World) -> None:
    """Of u1 nothing has come for a millisecond longer than the time to live."""
    await w.feed(act("u1", 0, NOW_MS), act("u2", 1, NOW_MS + TTL_MS + 1))
    await safe(w)


def expired(w: World) -> int:
    return int(w.metrics.expired_users._value.get())


@in_a_world()
async def test_a_user_silent_for_longer_than_the_time_to_live_leaves_nothing(w: World) -> None:
    await one_old_one_new(w)

    await sweep(w, now_ms=NOW_MS + TTL_MS + 1)

    headers = [("lately.applied_offset", b"0"), ("lately.cause", b"expired")]
    scores, changelog = w.publisher.sent[-2:]
    ours = [*headers, ("lately.group", b"shop")]
    assert (scores.topic, scores.records) == ("scores", [(b"u1", None, ours)])
    assert (changelog.topic, changelog.records) == ("changelog", [(b"u1", None, headers)])
    assert (w.stored("u1"), expired(w)) == (None, 1)
    assert w.stored("u2") is not None
    assert w.position == 2


@in_a_world()
async def test_a_backfill_of_users_who_are_expired_at_once_is_said(w: World) -> None:
    old = [act(f"old-{n}", n, NOW_MS - TTL_MS - 1) for n in range(3)]
    await w.feed(*old, act("new", 3, NOW_MS))
    await safe(w)

    with capture_logs() as logs:
        await sweep(w, now_ms=NOW_MS)
        await sweep(w, now_ms=NOW_MS)

    said = [line for line in logs if "expired" in line["event"]]
    assert [(line["users"], line["ttl_s"]) for line in said] == [(3, TTL_MS // 1000)]
    assert expired(w) == 3


@in_a_world()
async def test_a_user_silent_for_just_the_time_to_live_stays(w: World) -> None:
    await w.feed(act("u1", 0, NOW_MS), act("u2", 1, NOW_MS + TTL_MS))
    await safe(w)

    await sweep(w, now_ms=NOW_MS + TTL_MS)

    assert w.stored("u1") is not None


@in_a_world()
async def test_a_log_of_the_past_is_judged_by_its_own_time(w: World) -> None:
    await w.feed(act("u1", 0, NOW_MS), act("u2", 1, NOW_MS + TTL_MS // 2))
    await safe(w)

    # A replay, years later: by the clock both would have expired long ago.
    await sweep(w, now_ms=NOW_MS + 100_000 * HOUR_MS)

    assert w.stored("u1") is not None and w.stored("u2") is not None


@in_a_world()
async def test_an_event_of_the_far_future_expires_nobody_whom_the_clock_does_not(w: World) -> None:
    await w.feed(act("u1", 0, NOW_MS), act("u2", 1, NOW_MS + 100_000 * HOUR_MS))
    await safe(w)

    await sweep(w, now_ms=NOW_MS + TTL_MS)

    assert w.stored("u1") is not None


@in_a_world()
async def test_in_a_topic_without_events_users_expire_by_the_clock(w: World) -> None:
    await w.feed(act("u1", 0, NOW_MS))
    await safe(w)
    clock = Clock(NOW_MS + 5)
    rounds = ExpirySweep(w.pipeline, w.store, TTL_MS, clock, Sleeps(), clock)

    await rounds.sweep()  # the event is seen 5 ms after it happened
    clock.ms = NOW_MS + 5 + TTL_MS
    await rounds.sweep()
    assert w.publisher.unanswered() == []

    clock.ms += 1
    await rounds.sweep()
    await w.acknowledge_all()
    assert w.stored("u1") is None


@pytest.mark.parametrize("jump_ms", [100_000 * HOUR_MS, -100_000 * HOUR_MS])
@on_a_loop
async def test_a_clock_that_is_set_to_another_time_expires_nobody(
    tmp_path: Path, jump_ms: int
) -> None:
    async with world(tmp_path) as w:
        await w.feed(act("u1", 0, NOW_MS))
        await safe(w)
        wall, monotonic = Clock(NOW_MS), Clock(5)
        rounds = ExpirySweep(w.pipeline, w.store, TTL_MS, wall, Sleeps(), monotonic)
        await rounds.sweep()

        wall.ms += jump_ms
        monotonic.ms += 60_000
        await rounds.sweep()

        assert w.publisher.unanswered() == []
        assert w.stored("u1") is not None


@pytest.mark.parametrize(
    ("ts_ms", "timestamp_ms", "expires"),
    [
        (NOW_MS, NOW_MS, True),
        (NOW_MS - HOUR_MS, NOW_MS, True),  # sent later than it happened
        (NOW_MS, -1, True),  # without a clock of its own
        (NOW_MS + 9 * TTL_MS, NOW_MS, True),  # of the future: set back to the record
        (NOW_MS + 9 * TTL_MS, -1, False),  # nothing to set it back to: active until then
    ],
)
@on_a_loop
async def test_a_user_expires_by_the_time_that_their_last_action_counts_with(
    tmp_path: Path, ts_ms: int, timestamp_ms: int, expires: bool
) -> None:
    async with world(tmp_path) as w:
        message = act("u1", 0, ts_ms)
        message.timestamp = timestamp_ms
        await w.feed(message, act("u2", 1, NOW_MS + TTL_MS + 1))
        await safe(w)

        await sweep(w, now_ms=NOW_MS + TTL_MS + 1)

        assert (w.stored("u1") is None) == expires


@on_a_loop
async def test_a_late_event_keeps_nobody_longer(tmp_path: Path) -> None:
    """It was not added, so the user's last action is still the one before it."""
    late_ms = NOW_MS - RULES.allowed_lateness_ms - 1
    async with world(tmp_path) as w:
        late = act("u1", 1, late_ms)
        late.timestamp = NOW_MS + TTL_MS
        await w.feed(act("u1", 0, NOW_MS), late, act("u2", 2, NOW_MS + TTL_MS + 1))
        await safe(w)

        await sweep(w, now_ms=NOW_MS + TTL_MS + 1)

        assert w.stored("u1") is None


@in_a_world()
async def test_a_user_whose_last_event_is_not_committed_stays_until_it_is(w: World) -> None:
    await w.feed(act("u1", 0, NOW_MS), act("u2", 1, NOW_MS + TTL_MS + 1))
    await w.acknowledge_all()
    await sweep(w, now_ms=NOW_MS + TTL_MS + 1)
    assert w.stored("u1") is not None  # a replay would bring them back

    await w.commit()
    await sweep(w, now_ms=NOW_MS + TTL_MS + 1)
    assert w.stored("u1") is None


@in_a_world()
async def test_who_comes_back_between_the_sweep_and_the_batch_is_kept(w: World) -> None:
    await one_old_one_new(w)
    w.device.hold()
    await w.feed(click("u3", 2))  # keeps the device, so that no batch closes
    sweeping = asyncio.create_task(sweep(w, now_ms=NOW_MS + TTL_MS + 1))
    await settle()
    await w.feed(act("u1", 3, NOW_MS + TTL_MS + 2))
    w.device.release()
    await sweeping
    await safe(w)

    stored = w.stored("u1")
    assert stored is not None and stored.items == ["i3"]
    assert (b"u1", None) not in w.publisher.log("changelog") + w.publisher.log("scores")


@in_a_world()
async def test_who_comes_back_while_the_tombstone_is_on_its_way_starts_over_and_stays(
    w: World,
) -> None:
    await one_old_one_new(w)
    await ExpirySweep(w.pipeline, w.store, TTL_MS, Clock(NOW_MS + TTL_MS + 1), Sleeps()).sweep()
    await settle()
    assert [sent.topic for sent in w.publisher.unanswered()] == ["scores"]

    # By event time hardly any time went by: without the deletion this would be a second action.
    await w.feed(act("u1", 2, NOW_MS + 1))
    await safe(w)

    stored = w.stored("u1")
    assert stored is not None and stored.items == ["i2"]
    assert w.publisher.log("changelog", 0)[-1] == (b"u1", stored.to_bytes())
    assert w.publisher.log("scores", 0)[-1][1] is not None


@in_a_world()
async def test_who_expired_and_is_forgotten_then_has_a_receipt_of_nothing(w: World) -> None:
    await one_old_one_new(w)
    await ExpirySweep(w.pipeline, w.store, TTL_MS, Clock(NOW_MS + TTL_MS + 1), Sleeps()).sweep()
    await w.feed(forget("u1", 2))
    await w.acknowledge_all()

    ((_, receipt),) = w.publisher.log("receipts")
    assert receipt is not None and b'"removed":false' in receipt


@in_a_world()
async def test_a_forget_marker_is_left_to_its_own_time(w: World) -> None:
    await w.feed(forget("u1", 0), act("u2", 1, NOW_MS + TTL_MS + 1))
    await w.acknowledge_all()

    await sweep(w, now_ms=NOW_MS + TTL_MS + 1)

    stored = w.stored("u1")
    assert stored is not None and stored.forgotten
    assert expired(w) == 0


@in_a_world()
async def test_nobody_expired_stays_in_memory(w: World) -> None:
    users = 10 * STEP_USERS
    await w.feed(*(act(f"old{n}", n, NOW_MS) for n in range(users)))
    await w.feed(act("new", users, NOW_MS + TTL_MS + 1))
    await safe(w)

    await sweep(w, NOW_MS + TTL_MS + 1, Sleeps(answering=w))  # finds out how late it is
    await sweep(w, NOW_MS + TTL_MS + 1, Sleeps(answering=w))

    assert expired(w) == users
    assert [key for key, _ in w.store.users(0)] == [b"new"]
    # Those of the last batch stay until the next round.
    assert len(w.pipeline._partitions[0].users) <= 1 + STEP_USERS


@in_a_world()
async def test_a_round_waits_for_a_broker_that_does_not_answer(w: World) -> None:
    users = 10 * STEP_USERS
    await w.feed(act("a-new", 0, NOW_MS + TTL_MS + 1))
    await w.feed(*(act(f"old{n:04}", 1 + n, NOW_MS) for n in range(users)))
    await safe(w)

    sweeping = asyncio.create_task(
        ExpirySweep(w.pipeline, w.store, TTL_MS, Clock(NOW_MS + TTL_MS + 1), Sleeps()).sweep()
    )
    for _ in range(20):
        await settle()
    # One step in each batch in flight, and one that waits for a batch.
    sent = sum(len(batch.records) for batch in w.publisher.unanswered("scores"))
    assert sent == LIMITS.in_flight * STEP_USERS - 1
    assert len(w.pipeline._partitions[0].expiring) == STEP_USERS

    while not sweeping.done():
        await w.acknowledge_all()
        await settle()
    await w.acknowledge_all()
    assert expired(w) == users


@in_a_world()
async def test_a_round_reads_so_many_users_a_second_and_no_more(w: World) -> None:
    await w.feed(*(act(f"u{n}", n, NOW_MS) for n in range(2 * STEP_USERS + 1)))
    await safe(w)
    sleeps = Sleeps()

    await sweep(w, NOW_MS, sleeps)

    assert sleeps.seconds == [pytest.approx(STEP_USERS / 1000)] * 3


@in_a_world(policy=LATER)
async def test_a_partition_that_is_given_up_ends_its_part_of_the_round(w: World) -> None:
    await w.feed(*(act(f"u{n}", n, NOW_MS) for n in range(2 * STEP_USERS)))
    await w.pipeline.drain(timeout_s=0.01)
    await w.acknowledge_all()
    sleeps = Sleeps()

    async def revoke_and_sleep(seconds: float) -> None:
        w.pipeline.revoke()
        w.store.close_others(())
        await sleeps(seconds)

    rounds = ExpirySweep(w.pipeline, w.store, TTL_MS, Clock(), revoke_and_sleep)
    await rounds.sweep()

    assert len(sleeps.seconds) == 1


@in_a_world()
async def test_rounds_pause_for_a_tenth_of_the_time_to_live_and_ten_minutes_at_most(
    w: World,
) -> None:
    for ttl_ms, pause_s in ((60_000, 6.0), (30 * 24 * HOUR_MS, 600.0)):
        sleeps: list[float] = []

        async def sleep(seconds: float, sleeps: list[float] = sleeps) -> None:
            sleeps.append(seconds)
            raise asyncio.CancelledError

        with pytest.raises(asyncio.CancelledError):
            await ExpirySweep(w.pipeline, w.store, ttl_ms, Clock(), sleep).run()
        assert sleeps == [pause_s]


def test_the_time_of_a_partition_follows_its_newest_event_and_never_passes_the_clock() -> None:
    wall = Clock(1_000)
    clock = EventClock(wall, wall)
    assert clock.now_ms() is None

    clock.observe(400)
    wall.ms = 1_050
    clock.observe(300)  # an older event changes nothing
    assert clock.now_ms() == 400 + 50

    clock.observe(5_000)
    assert clock.now_ms() == 1_050


def test_an_expired_user_keeps_the_offset_and_nothing_else() -> None:
    state = UserState.expired(7)

    assert (state.applied_offset, state.items, state.forgotten) == (7, [], False)
