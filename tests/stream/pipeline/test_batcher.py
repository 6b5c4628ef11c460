"""The micro-batcher on a clock of our own: traces by hand, then a machine that tries everything."""

from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stream.pipeline.batcher import BatchPolicy, MicroBatcher, Taken
from tests.stream.fakes import event

POLICY = BatchPolicy(close_users=3, max_users=4, deadline_s=0.2)


def add(batcher: MicroBatcher, now_s: float, user: str, offset: int, partition: int = 0) -> None:
    batcher.add(now_s, partition, event(offset, key=user.encode()))


def users(taken: list[Taken]) -> list[str]:
    return [key.decode() for _, key, _ in taken]


@pytest.fixture
def batcher() -> MicroBatcher:
    return MicroBatcher(POLICY)


# --- when a batch closes -------------------------------------------------------------------------


def test_nobody_waits_and_nothing_is_due(batcher: MicroBatcher) -> None:
    assert batcher.next_wakeup() is None
    assert not batcher.ready(1e9)
    assert batcher.oldest(0, 1) == []
    assert b"u1" not in batcher.waiting(0)


def test_a_batch_is_due_when_the_oldest_has_waited_the_deadline(batcher: MicroBatcher) -> None:
    add(batcher, 10.0, "u1", 0)
    add(batcher, 10.1, "u2", 1)

    assert batcher.next_wakeup() == 10.0 + 0.2
    assert not batcher.ready(10.19)
    assert batcher.ready(10.2)


def test_a_batch_is_due_at_once_when_enough_users_wait(batcher: MicroBatcher) -> None:
    for n in range(3):
        add(batcher, 10.0, f"u{n}", n)

    assert batcher.ready(10.0)


def test_events_of_one_user_are_one_who_waits(batcher: MicroBatcher) -> None:
    for offset in range(9):
        add(batcher, 10.0 + offset / 100, "u1", offset)

    assert len(batcher) == 1
    assert not batcher.ready(10.1)
    assert batcher.next_wakeup() == 10.0 + 0.2  # of the first event: the last cannot put it off


def test_the_entry_of_a_user_spans_the_first_and_the_last_event(batcher: MicroBatcher) -> None:
    for offset in (4, 7, 8):
        add(batcher, 10.0, "u1", offset)

    ((partition, key, waiting),) = batcher.take()

    assert (partition, key, waiting.since_s) == (0, b"u1", 10.0)
    assert (waiting.first.offset, waiting.last.offset) == (4, 8)


def test_nothing_is_due_while_the_device_is_busy(batcher: MicroBatcher) -> None:
    add(batcher, 10.0, "u1", 0)
    batcher.take()
    for n in range(5):
        add(batcher, 10.1, f"v{n}", n)

    assert batcher.next_wakeup() is None
    assert not batcher.ready(99.0)

    batcher.done()
    assert batcher.ready(10.1)


def test_a_user_may_wait_again_while_their_batch_is_on_the_device(batcher: MicroBatcher) -> None:
    add(batcher, 10.0, "u1", 0)
    batcher.take()
    add(batcher, 10.1, "u1", 1)
    batcher.done()

    ((_, _, waiting),) = batcher.take()

    assert waiting.first.offset == 1


def test_draining_closes_at_once(batcher: MicroBatcher) -> None:
    add(batcher, 10.0, "u1", 0)
    batcher.draining = True

    assert batcher.ready(10.0)


def test_a_dead_letter_alone_brings_a_batch_at_the_deadline(batcher: MicroBatcher) -> None:
    batcher.request_flush(10.0)
    batcher.request_flush(10.1)

    assert batcher.next_wakeup() == 10.0 + 0.2
    assert batcher.take() == []
    batcher.done()
    assert batcher.next_wakeup() is None


# --- who is in it --------------------------------------------------------------------------------


def test_a_batch_takes_the_oldest_up_to_its_cap(batcher: MicroBatcher) -> None:
    # Two partitions by turns: u0 waits longest, then v0, u1, v1, u2, v2.
    for n in range(3):
        add(batcher, 10.0 + n, f"u{n}", n, partition=0)
        add(batcher, 10.5 + n, f"v{n}", n, partition=1)

    assert users(batcher.take()) == ["u0", "v0", "u1", "v1"]
    assert len(batcher) == 2
    assert [waiting.first.offset for waiting in batcher.oldest(0, 1)] == [2, 2]

    batcher.done()
    assert users(batcher.take()) == ["u2", "v2"]
    assert len(batcher) == 0


def test_what_is_left_behind_keeps_its_deadline(batcher: MicroBatcher) -> None:
    for n in range(6):
        add(batcher, 10.0 + n / 100, f"u{n}", n)
    batcher.take()
    batcher.done()

    assert batcher.next_wakeup() == 10.04 + 0.2


def test_a_revoked_user_waits_no_more_and_the_device_stays_busy(batcher: MicroBatcher) -> None:
    add(batcher, 10.0, "u1", 0)
    batcher.take()
    add(batcher, 10.1, "u2", 1)
    batcher.request_flush(10.1)

    batcher.drop_partitions()

    assert len(batcher) == 0
    add(batcher, 10.2, "u3", 2)
    assert batcher.next_wakeup() is None
    batcher.done()
    assert batcher.next_wakeup() == 10.2 + 0.2


# --- a slow device -------------------------------------------------------------------------------

WIDE = BatchPolicy(close_users=2, max_users=8, deadline_s=0.2)


def next_batch(batcher: MicroBatcher) -> int:
    """How many of twenty who wait are taken."""
    batcher.drop_partitions()
    for n in range(20):
        add(batcher, 10.0, f"u{n}", n)
    return len(batcher.take())


def test_a_batch_that_took_too_long_makes_the_next_one_smaller_in_proportion() -> None:
    batcher = MicroBatcher(WIDE)

    assert next_batch(batcher) == 8
    batcher.done(8, seconds=2.0)
    assert next_batch(batcher) == 8 / 2.0  # what would have taken one second


def test_a_batch_is_never_smaller_than_what_closes_it() -> None:
    batcher = MicroBatcher(WIDE)
    batcher.done(8, seconds=100.0)

    assert next_batch(batcher) == WIDE.close_users  # smaller ones would be slower for each user


def test_a_device_that_is_fast_again_gets_twice_as_many_until_the_cap() -> None:
    batcher = MicroBatcher(WIDE)
    batcher.done(8, seconds=100.0)

    taken = []
    for _ in range(4):
        taken.append(next_batch(batcher))
        batcher.done(taken[-1], seconds=0.1)

    assert taken == [2, 4, 8, 8]


def test_another_model_brings_a_policy_of_its_own() -> None:
    batcher = MicroBatcher(WIDE)
    batcher.done(8, seconds=100.0)

    batcher.change(BatchPolicy(close_users=3, max_users=7, deadline_s=0.2))

    assert next_batch(batcher) == 7


# --- everything else -----------------------------------------------------------------------------


@dataclass
class Entry:
    """Who waits, as a list by hand has it: the events from first to last, since when."""

    key: bytes
    first: int
    last: int
    since_s: float


class Machine(RuleBasedStateMachine):
    """Events, time, batches and revocations in any order, beside queues kept by hand."""

    @initialize(
        close=st.integers(1, 4), more=st.integers(0, 3), deadline_s=st.sampled_from([0.0, 1.0, 3.0])
    )
    def start(self, close: int, more: int, deadline_s: float) -> None:
        self.policy = BatchPolicy(close, close + more, deadline_s)
        self.batcher = MicroBatcher(self.policy)
        self.now_s = 0.0
        self.busy = False
        self.errand_since_s: float | None = None
        self.offset = -1
        self.queues: dict[int, list[Entry]] = {0: [], 1: []}

    @rule(partition=st.sampled_from([0, 1]), user=st.sampled_from("abcdef"))
    def event_comes(self, partition: int, user: str) -> None:
        key = b"%d%b" % (partition, user.encode())  # a user is at home in one partition
        self.offset += 1
        self.batcher.add(self.now_s, partition, event(self.offset, key=key))
        for entry in self.queues[partition]:
            if entry.key == key:
                entry.last = self.offset
                return
        self.queues[partition].append(Entry(key, self.offset, self.offset, self.now_s))

    @rule()
    def errand_comes(self) -> None:
        self.batcher.request_flush(self.now_s)
        if self.errand_since_s is None:
            self.errand_since_s = self.now_s

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.now_s += seconds

    @rule(draining=st.booleans())
    def drain(self, draining: bool) -> None:
        self.batcher.draining = draining

    @rule()
    def partitions_are_revoked(self) -> None:
        self.batcher.drop_partitions()
        self.queues, self.errand_since_s = {0: [], 1: []}, None

    @precondition(lambda self: self.batcher.ready(self.now_s))
    @rule()
    def batch_is_taken(self) -> None:
        before = self._users()
        taken = self.batcher.take()

        assert len(taken) == min(before, self.policy.max_users)
        for partition, queue in self.queues.items():
            batch = [
                Entry(key, waiting.first.offset, waiting.last.offset, waiting.since_s)
                for number, key, waiting in taken
                if number == partition
            ]
            # The front of the queue: each once, with all of their events and no other.
            assert batch == queue[: len(batch)]
            del queue[: len(batch)]
        left_s = [entry.since_s for queue in self.queues.values() for entry in queue]
        assert all(waiting.since_s <= min(left_s, default=self.now_s) for _, _, waiting in taken)
        self.busy, self.errand_since_s = True, None

    @precondition(lambda self: self.busy)
    @rule()
    def device_is_free(self) -> None:
        self.batcher.done()
        self.busy = False

    @invariant()
    def a_batch_is_due_just_when_it_should_be(self) -> None:
        since_s = [entry.since_s for queue in self.queues.values() for entry in queue]
        if self.errand_since_s is not None:
            since_s.append(self.errand_since_s)
        full = self._users() >= self.policy.close_users or self.batcher.draining
        due_s = min(since_s, default=0.0) + (0.0 if full else self.policy.deadline_s)

        assert self.batcher.ready(self.now_s) == (
            not self.busy and bool(since_s) and due_s <= self.now_s
        )
        assert self.batcher.next_wakeup() == (due_s if since_s and not self.busy else None)

    @invariant()
    def it_knows_who_waits(self) -> None:
        assert len(self.batcher) == self._users()
        for partition, queue in self.queues.items():
            assert all(entry.key in self.batcher.waiting(partition) for entry in queue)
            oldest = [waiting.first.offset for waiting in self.batcher.oldest(partition)]
            assert oldest == [entry.first for entry in queue[:1]]

    def _users(self) -> int:
        return sum(map(len, self.queues.values()))


TestEverythingElse = Machine.TestCase
TestEverythingElse.settings = settings(deadline=None, max_examples=80, stateful_step_count=30)
