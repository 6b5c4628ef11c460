"""The micro-batcher on a clock of our own: traces by hand, then a machine that tries everything."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from stream.pipeline.batcher import BatchPolicy, MicroBatcher, Taken

POLICY = BatchPolicy(close_users=3, max_users=4, deadline_s=0.2)


@pytest.fixture
def batcher() -> MicroBatcher:
    return MicroBatcher(POLICY)


# --- when a batch closes -------------------------------------------------------------------------


def test_nobody_waits_and_nothing_is_due(batcher: MicroBatcher) -> None:
    assert batcher.next_wakeup() is None
    assert not batcher.ready(1e9)
    assert len(batcher) == 0


def test_a_batch_is_due_when_the_oldest_has_waited_the_deadline(batcher: MicroBatcher) -> None:
    batcher.add(10.0, 0, users=1)
    batcher.add(10.1, 0, users=1)

    assert batcher.next_wakeup() == 10.0 + 0.2
    assert not batcher.ready(10.19)
    assert batcher.ready(10.2)


def test_a_batch_is_due_at_once_when_enough_users_wait(batcher: MicroBatcher) -> None:
    batcher.add(10.0, 0, users=1)
    batcher.add(10.0, 1, users=2)

    assert batcher.ready(10.0)


def test_who_comes_later_does_not_put_off_the_batch(batcher: MicroBatcher) -> None:
    batcher.add(10.0, 0, users=1)
    batcher.add(10.1, 0, users=0)  # events of users who wait already
    batcher.add(10.1, 0, users=1)

    assert len(batcher) == 2
    assert batcher.next_wakeup() == 10.0 + 0.2


def test_nothing_is_due_while_the_device_is_busy(batcher: MicroBatcher) -> None:
    batcher.add(10.0, 0, users=1)
    batcher.take()
    batcher.add(10.1, 0, users=5)

    assert batcher.next_wakeup() is None
    assert not batcher.ready(99.0)

    batcher.done()
    assert batcher.ready(10.1)


def test_draining_closes_at_once(batcher: MicroBatcher) -> None:
    batcher.add(10.0, 0, users=1)
    batcher.draining = True

    assert batcher.ready(10.0)


def test_a_dead_letter_alone_brings_a_batch_at_the_deadline(batcher: MicroBatcher) -> None:
    batcher.request_flush(10.0)
    batcher.request_flush(10.1)

    assert batcher.next_wakeup() == 10.0 + 0.2
    assert batcher.take() == Taken({}, None)
    batcher.done()
    assert batcher.next_wakeup() is None


# --- who is in it --------------------------------------------------------------------------------


def test_a_batch_takes_the_oldest_up_to_its_cap(batcher: MicroBatcher) -> None:
    # Two partitions by turns, one user each time.
    for n in range(3):
        batcher.add(10.0 + n, 0, users=1)
        batcher.add(10.5 + n, 1, users=1)

    assert batcher.take() == Taken({0: 2, 1: 2}, 10.0)
    assert len(batcher) == 2

    batcher.done()
    assert batcher.take() == Taken({0: 1, 1: 1}, 12.0)
    assert len(batcher) == 0


def test_a_batch_may_take_a_part_of_those_who_came_together(batcher: MicroBatcher) -> None:
    batcher.add(10.0, 0, users=3)
    batcher.add(10.1, 1, users=3)

    assert batcher.take() == Taken({0: 3, 1: 1}, 10.0)
    batcher.done()
    assert batcher.take() == Taken({1: 2}, 10.1)


def test_what_is_left_behind_keeps_its_deadline(batcher: MicroBatcher) -> None:
    for n in range(6):
        batcher.add(10.0 + n / 100, 0, users=1)
    batcher.take()
    batcher.done()

    assert batcher.next_wakeup() == 10.04 + 0.2


def test_a_revoked_user_waits_no_more_and_the_device_stays_busy(batcher: MicroBatcher) -> None:
    batcher.add(10.0, 0, users=1)
    batcher.take()
    batcher.add(10.1, 0, users=1)
    batcher.request_flush(10.1)

    batcher.drop_partitions()

    assert len(batcher) == 0
    batcher.add(10.2, 0, users=1)
    assert batcher.next_wakeup() is None
    batcher.done()
    assert batcher.next_wakeup() == 10.2 + 0.2


# --- a slow device -------------------------------------------------------------------------------

WIDE = BatchPolicy(close_users=2, max_users=8, deadline_s=0.2)


def next_batch(batcher: MicroBatcher) -> int:
    """How many of twenty who wait are taken."""
    batcher.drop_partitions()
    batcher.add(10.0, 0, users=20)
    return batcher.take().users[0]


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


class Machine(RuleBasedStateMachine):
    """Users, time, batches and revocations in any order, beside queues kept by hand."""

    @initialize(
        close=st.integers(1, 4), more=st.integers(0, 3), deadline_s=st.sampled_from([0.0, 1.0, 3.0])
    )
    def start(self, close: int, more: int, deadline_s: float) -> None:
        self.policy = BatchPolicy(close, close + more, deadline_s)
        self.batcher = MicroBatcher(self.policy)
        self.now_s = 0.0
        self.busy = False
        self.errand_since_s: float | None = None
        self.queues: dict[int, list[float]] = {0: [], 1: []}  # since when each user waits

    @rule(partition=st.sampled_from([0, 1]), users=st.integers(0, 3))
    def users_come(self, partition: int, users: int) -> None:
        self.batcher.add(self.now_s, partition, users)
        self.queues[partition] += [self.now_s] * users

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
        oldest_s = min((queue[0] for queue in self.queues.values() if queue), default=None)
        taken = self.batcher.take()

        assert taken.oldest_s == oldest_s
        assert sum(taken.users.values()) == min(before, self.policy.max_users)
        newest_s = []
        for partition, count in taken.users.items():
            queue = self.queues[partition]
            newest_s.append(queue[count - 1])
            del queue[:count]  # the front of the queue
        left_s = [since_s for queue in self.queues.values() for since_s in queue]
        assert max(newest_s, default=0.0) <= min(left_s, default=self.now_s)
        self.busy, self.errand_since_s = True, None

    @precondition(lambda self: self.busy)
    @rule()
    def device_is_free(self) -> None:
        self.batcher.done()
        self.busy = False

    @invariant()
    def a_batch_is_due_just_when_it_should_be(self) -> None:
        since_s = [since_s for queue in self.queues.values() for since_s in queue]
        if self.errand_since_s is not None:
            since_s.append(self.errand_since_s)
        full = self._users() >= self.policy.close_users or self.batcher.draining
        due_s = min(since_s, default=0.0) + (0.0 if full else self.policy.deadline_s)

        assert self.batcher.ready(self.now_s) == (
            not self.busy and bool(since_s) and due_s <= self.now_s
        )
        assert self.batcher.next_wakeup() == (due_s if since_s and not self.busy else None)

    @invariant()
    def it_knows_how_many_wait(self) -> None:
        assert len(self.batcher) == self._users()

    def _users(self) -> int:
        return sum(map(len, self.queues.values()))


TestEverythingElse = Machine.TestCase
TestEverythingElse.settings = settings(deadline=None, max_examples=80, stateful_step_count=30)
