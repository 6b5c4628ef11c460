"""Laws of the fold, for logs of every kind; an independent fold must come to the same."""

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.events import Event
from stream.user_state import Rules, UserState
from tests.oracle import fold as oracle
from tests.oracle import message as oracle_message
from tests.oracle import rules as oracle_rules
from tests.oracle.value import decode
from tests.stream.fakes import event

RULES = Rules(
    sequence_length=4, dedupe_window=2, allowed_lateness_ms=100, max_future_ms=50, ttl_ms=1_000
)
SAME_RULES = oracle_rules.Rules(
    sequence_length=4, dedupe_window=2, allowed_lateness_ms=100, max_future_ms=50, ttl_ms=1_000
)

times = st.integers(0, 300) | st.integers(0, 5_000)


@st.composite
def logs(draw: st.DrawFn, max_size: int = 10) -> list[Event]:
    """The events of one user in offset order, with gaps between the offsets."""
    offset, log = -1, []
    for _ in range(draw(st.integers(0, max_size))):
        offset += draw(st.integers(1, 3))
        ts_ms = draw(times)
        log.append(
            event(
                offset,
                ts_ms,
                action=draw(st.sampled_from(["click", "click", "cart", "buy", "forget"])),
                event_id=draw(st.none() | st.sampled_from("abcd")),
                timestamp_ms=draw(st.just(-1) | st.integers(-100, 100).map(ts_ms.__add__)),
                category=draw(st.none() | st.sampled_from(["", "shoes", "hats", "bags"])),
            )
        )
    return log


def fold(log: list[Event], state: UserState | None = None) -> UserState:
    state = state or UserState()
    for item in log:
        state.apply(item, RULES)
    return state


@settings(deadline=None, max_examples=60)
@given(logs())
def test_the_bytes_bring_the_state_back(log: list[Event]) -> None:
    state = fold(log)

    again = UserState.from_bytes(state.to_bytes())

    assert again.to_bytes() == state.to_bytes()
    stored = set(UserState.__slots__) - {"removed"}
    assert all(getattr(again, name) == getattr(state, name) for name in stored)


@settings(deadline=None, max_examples=60)
@given(logs(), st.data())
def test_a_log_that_breaks_off_and_comes_again_changes_nothing(
    log: list[Event], data: st.DataObject
) -> None:
    once = fold(log).to_bytes()
    read = data.draw(st.integers(0, len(log)), label="read until")
    again_from = data.draw(st.integers(0, read), label="comes again from")

    stored = UserState.from_bytes(fold(log[:read]).to_bytes())

    assert fold(log[again_from:], stored).to_bytes() == once


@settings(deadline=None)
@given(st.lists(st.integers(0, 100), unique=True, max_size=4), st.randoms(use_true_random=False))
def test_actions_within_the_lateness_end_up_the_same_in_whatever_order_they_come(
    ts: list[int], random: Any
) -> None:
    shuffled = random.sample(ts, len(ts))

    def sequence(order: list[int]) -> object:
        log = [event(offset, ts_ms, item=f"at{ts_ms}") for offset, ts_ms in enumerate(order)]
        return fold(log).sequence()[:3]

    # Times span 100 ms at most, so nothing is late; four fit, so nothing is cut.
    assert sequence(shuffled) == sequence(sorted(ts))


@settings(deadline=None, max_examples=60)
@given(logs())
def test_the_sequence_is_sorted_and_never_longer_than_allowed(log: list[Event]) -> None:
    state = fold(log)

    assert state.times_ms == sorted(state.times_ms)
    assert len(state.items) == len(state.times_ms) == len(state.actions) <= 4
    assert len(state.event_ids) <= 2
    assert all(kind < len(state.action_types) for kind in state.actions)
    assert len(set(state.action_types)) == len(state.action_types)


@settings(deadline=None, max_examples=100)
@given(logs(max_size=20))
def test_just_the_categories_that_occur_are_named_and_without_one_it_is_version_1(
    log: list[Event],
) -> None:
    state = fold(log)

    names, indices = state.category_names, state.category_indices
    assert len(set(names)) == len(names)
    assert set(indices) - {0} == set(range(1, len(names) + 1))
    assert len(indices) == (len(state.items) if names else 0)
    assert "" not in names
    assert state.to_bytes()[0] == (2 if names else 1)


@settings(deadline=None, max_examples=60)
@given(logs())
def test_categories_change_nothing_else(log: list[Event]) -> None:
    bare = [msgspec.structs.replace(item, category=None) for item in log]
    with_them, without = fold(log), fold(bare)

    with_them.category_names, with_them.category_indices = (), b""
    assert with_them.to_bytes() == without.to_bytes()


@settings(deadline=None, max_examples=150)
@given(logs())
def test_an_independent_fold_comes_to_the_same(log: list[Event]) -> None:
    ours, theirs = UserState(), None
    for item in log:
        seen = oracle_message.Event(
            "u1", item.item, item.action, item.ts_ms, item.event_id, item.category
        )
        outcome = ours.apply(item, RULES)
        theirs, expected = oracle.fold(theirs, seen, item.offset, item.timestamp_ms, SAME_RULES)
        assert outcome == expected

    if theirs is not None:
        assert ours.applied_offset == theirs.applied_offset
        assert ours.as_of_ms == theirs.as_of_ts
        assert ours.forgotten == theirs.forgotten
        assert ours.event_ids == list(theirs.event_ids)
        if theirs.actions:
            assert ours.sequence()[:4] == theirs.sequence()[:4]
            assert ours.sequence().categories() == theirs.sequence().categories()
        assert decode(ours.to_bytes()) == theirs


@settings(deadline=None, max_examples=100)
@given(logs())
def test_the_clock_of_the_sequence_is_that_of_its_newest_action_and_never_moves_back(
    log: list[Event],
) -> None:
    """Whatever comes late, out of order, from the future or without a clock, and after a restart.

    Only who is forgotten begins anew.
    """
    state, before_ms = UserState(), 0
    for item in log:
        outcome = state.apply(item, RULES)
        state = UserState.from_bytes(state.to_bytes())
        now_ms = state.sequence().now_ms
        if outcome == "forgotten":
            before_ms = 0
        assert now_ms == max(state.times_ms, default=0)
        assert now_ms >= before_ms
        before_ms = now_ms
