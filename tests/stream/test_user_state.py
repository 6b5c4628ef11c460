"""Every written rule of the fold, one by one; times in ms after an arbitrary start."""

from dataclasses import replace

import pytest

from model.sequence import Sequence
from stream.user_state import Rules, UserState
from tests.stream.fakes import event

RULES = Rules(
    sequence_length=3, dedupe_window=2, allowed_lateness_ms=100, max_future_ms=50, ttl_ms=1_000
)


def folded(*events: tuple[int, int]) -> UserState:
    """The state after clicks of (offset, time); each is on an item named by its offset."""
    state = UserState()
    for offset, ts_ms in events:
        assert state.apply(event(offset, ts_ms), RULES) in ("applied", "late")
    return state


# --- replays and duplicates ----------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 6, 7])
def test_an_event_at_or_below_the_applied_offset_changes_nothing(offset: int) -> None:
    state = folded((7, 500))
    before = state.to_bytes()

    assert state.apply(event(offset, 501, item="other"), RULES) == "replayed"
    assert state.to_bytes() == before


def test_a_forget_that_is_replayed_changes_nothing() -> None:
    state = folded((7, 500))

    assert state.apply(event(7, action="forget"), RULES) == "replayed"
    assert state.items == ["i7"]


def test_an_event_id_seen_before_changes_nothing_not_even_the_offset() -> None:
    state = UserState()
    state.apply(event(1, 500, event_id="a"), RULES)
    before = state.to_bytes()

    assert state.apply(event(2, 501, event_id="a"), RULES) == "duplicate"
    assert state.to_bytes() == before


def test_only_the_last_event_ids_are_remembered() -> None:
    state = UserState()
    for offset, event_id in enumerate("abc"):
        state.apply(event(offset, 500, event_id=event_id), RULES)

    # The window has room for two, so "a" is forgotten and "b" is the oldest.
    assert state.apply(event(3, 500, event_id="b"), RULES) == "duplicate"
    assert state.apply(event(4, 500, event_id="a"), RULES) == "applied"


def test_events_without_an_id_are_never_duplicates_and_take_no_room() -> None:
    state = UserState()
    state.apply(event(0, 500, event_id="a"), RULES)
    for offset in (1, 2, 3):
        assert state.apply(event(offset, 500, item="same"), RULES) == "applied"

    assert state.apply(event(4, 500, event_id="a"), RULES) == "duplicate"


def test_a_window_of_none_takes_every_duplicate() -> None:
    rules = Rules(3, 0, 100, 50, 1_000)
    state = UserState()

    outcomes = [state.apply(event(offset, 500, event_id="a"), rules) for offset in (0, 1)]

    assert outcomes == ["applied", "applied"]
    assert state.event_ids == []


def test_a_window_made_smaller_holds_from_the_next_event_on() -> None:
    state = UserState()
    for offset, event_id in enumerate("ab"):
        state.apply(event(offset, 500, event_id=event_id), RULES)
    smaller = Rules(3, 1, 100, 50, 1_000)

    state.apply(event(2, 500, event_id="c"), smaller)

    assert len(state.event_ids) == 1


# --- the future -----------------------------------------------------------------------------------


def test_a_time_too_far_ahead_of_the_record_is_set_back_to_the_records() -> None:
    state = UserState()

    # 50 ms ahead of the record is allowed, 51 is not.
    assert state.apply(event(0, 550, timestamp_ms=500), RULES) == "applied"
    assert state.apply(event(1, 652, timestamp_ms=601), RULES) == "future"
    assert state.times_ms == [550, 601]
    assert state.as_of_ms == 601


def test_an_event_whose_record_has_no_timestamp_counts_by_its_own_time() -> None:
    state = folded((0, 500))

    assert state.apply(event(1, 700, timestamp_ms=-1), RULES) == "applied"
    assert state.apply(event(2, 710), RULES) == "applied"  # and the history is still there
    assert state.times_ms == [500, 700, 710]


def test_a_time_set_back_may_still_be_late() -> None:
    state = folded((0, 500))

    # Set back to 399, which is 101 ms behind the newest: more than the 100 allowed.
    assert state.apply(event(1, 9_999, timestamp_ms=399), RULES) == "late"
    assert state.times_ms == [500]


# --- lateness -------------------------------------------------------------------------------------


def test_a_late_action_is_not_placed_but_moves_the_offset_and_the_clock_of_the_score() -> None:
    state = folded((0, 500))

    assert state.apply(event(1, 399, event_id="a"), RULES) == "late"  # 500 - 399 > 100

    assert state.sequence() == Sequence(("i0",), ("click",), (500,), now_ms=500)
    assert (state.applied_offset, state.as_of_ms) == (1, 399)


def test_a_late_action_that_is_sent_again_is_placed_once_its_lateness_is_allowed() -> None:
    state = folded((0, 500))
    more_lateness = replace(RULES, allowed_lateness_ms=200)
    assert state.apply(event(1, 399, event_id="a"), RULES) == "late"

    assert state.apply(event(2, 399, event_id="a"), more_lateness) == "applied"
    assert state.times_ms == [399, 500]
    assert state.apply(event(3, 399, event_id="a"), more_lateness) == "duplicate"


def test_late_actions_push_no_event_id_out_of_the_window() -> None:
    state = UserState()
    state.apply(event(0, 500, event_id="a"), RULES)
    for offset, late in enumerate("bcd", start=1):  # one more than the window of 2 holds
        assert state.apply(event(offset, 399, event_id=late), RULES) == "late"

    assert state.apply(event(4, 500, event_id="a"), RULES) == "duplicate"


def test_an_action_just_as_late_as_allowed_is_placed() -> None:
    state = folded((0, 500))

    assert state.apply(event(1, 400), RULES) == "applied"  # 500 - 400 = 100
    assert state.items == ["i1", "i0"]


def test_lateness_is_measured_against_this_users_newest_action() -> None:
    assert folded((0, 500), (1, 450)).apply(event(2, 399), RULES) == "late"


# --- order ----------------------------------------------------------------------------------------


def test_actions_are_placed_by_event_time_after_those_of_the_same_time() -> None:
    state = folded((0, 500), (1, 520), (2, 500))

    assert list(zip(state.items, state.times_ms, strict=True)) == [
        ("i0", 500),
        ("i2", 500),
        ("i1", 520),
    ]


def test_the_three_columns_move_together() -> None:
    state = UserState()
    for offset, (ts_ms, action) in enumerate([(510, "cart"), (500, "click"), (505, "buy")]):
        state.apply(event(offset, ts_ms, action=action), RULES)

    assert state.sequence() == Sequence(
        ("i1", "i2", "i0"), ("click", "buy", "cart"), (500, 505, 510), now_ms=510
    )


def test_only_the_newest_actions_are_kept() -> None:
    assert folded((0, 500), (1, 501), (2, 502), (3, 503)).items == ["i1", "i2", "i3"]


def test_an_action_older_than_a_full_sequence_falls_off_its_old_end() -> None:
    state = folded((0, 500), (1, 501), (2, 502))

    assert state.apply(event(3, 450), RULES) == "applied"
    assert state.items == ["i0", "i1", "i2"]
    assert state.applied_offset == 3


def test_a_sequence_length_made_smaller_holds_from_the_next_event_on() -> None:
    state = folded((0, 500), (1, 501), (2, 502))

    state.apply(event(3, 503), Rules(2, 2, 100, 50, 1_000))

    assert (state.items, state.times_ms, len(state.actions)) == (["i2", "i3"], [502, 503], 2)


def test_the_clock_of_a_score_never_stands_before_the_newest_action() -> None:
    assert folded((0, 500)).sequence().now_ms == 500
    assert folded((0, 500), (1, 450)).sequence().now_ms == 500  # as of 450, newest 500


# --- the time to live -----------------------------------------------------------------------------


def test_after_a_longer_silence_than_the_time_to_live_a_user_starts_afresh() -> None:
    state = UserState()
    state.apply(event(0, 500, action="buy", event_id="a"), RULES)

    # 1,501 - 500 = 1,001 > 1,000: actions and event ids are gone, also the id that comes again.
    assert state.apply(event(1, 1_501, event_id="b"), RULES) == "applied"

    assert (state.items, state.action_types, len(state.event_ids)) == (["i1"], ["click"], 1)
    assert state.apply(event(2, 1_502, event_id="a"), RULES) == "applied"


def test_a_silence_of_just_the_time_to_live_changes_nothing() -> None:
    state = folded((0, 500))

    state.apply(event(1, 1_500), RULES)

    assert state.items == ["i0", "i1"]


def test_a_duplicate_stays_one_after_any_silence() -> None:
    state = UserState()
    state.apply(event(0, 500, event_id="a"), RULES)

    assert state.apply(event(1, 90_000, event_id="a"), RULES) == "duplicate"


def test_the_offset_survives_the_time_to_live() -> None:
    state = folded((7, 500), (8, 90_000))

    assert state.apply(event(7, 500), RULES) == "replayed"


# --- forgetting -----------------------------------------------------------------------------------


def test_forgetting_keeps_the_offset_and_nothing_else() -> None:
    state = UserState()
    state.apply(event(0, 500, event_id="a"), RULES)

    assert state.apply(event(5, 600, action="forget"), RULES) == "forgotten"

    fresh = UserState()
    fresh.applied_offset, fresh.forgotten = 5, True
    assert state.to_bytes() == fresh.to_bytes()


def test_a_user_never_seen_may_be_forgotten() -> None:
    state = UserState()

    assert state.apply(event(5, 600, action="forget"), RULES) == "forgotten"
    assert (state.applied_offset, state.forgotten) == (5, True)


def test_what_came_before_a_forget_stays_dead() -> None:
    state = UserState()
    state.apply(event(5, 600, action="forget"), RULES)

    assert state.apply(event(4, 500), RULES) == "replayed"
    assert state.items == []


def test_a_user_who_returns_after_a_forget_starts_afresh() -> None:
    state = UserState()
    state.apply(event(0, 500, event_id="a"), RULES)
    state.apply(event(1, 510, action="forget"), RULES)

    # Far before the forgotten actions and with a forgotten id: nothing of them counts.
    assert state.apply(event(2, 100, event_id="a"), RULES) == "applied"
    assert not state.forgotten
    assert state.sequence() == Sequence(("i2",), ("click",), (100,), now_ms=100)
