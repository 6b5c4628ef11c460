"""The oracle's fold, rule by rule."""

from tests.oracle.fold import Action, State, fold
from tests.oracle.hashing import event_digest
from tests.oracle.message import Event
from tests.oracle.rules import DEFAULT_RULES

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
NOW = 100 * DAY_MS


def click(ts: int, event_id: str | None = None, item: str = "i") -> Event:
    return Event("u", item, "click", ts, event_id)


def run(*events: Event) -> tuple[State, str]:
    state, outcome = None, ""
    for offset, event in enumerate(events):
        state, outcome = fold(state, event, offset, NOW, DEFAULT_RULES)
    assert state is not None
    return state, outcome


def test_events_are_placed_by_event_time_and_after_their_equals() -> None:
    state, _ = run(click(5, item="a"), click(9, item="b"), click(5, item="c"), click(7, item="d"))

    assert [action.item_id for action in state.actions] == ["a", "c", "d", "b"]
    assert state.sequence().now_ms == 9
    assert state.as_of_ts == 7


def test_only_the_newest_fifty_are_kept() -> None:
    state, _ = run(*(click(ts) for ts in range(1, 54)))

    assert [action.ts for action in state.actions] == list(range(53 - 50 + 1, 54))


def test_event_older_than_a_full_sequence_falls_off_at_once() -> None:
    state, outcome = run(*(click(ts) for ts in range(100, 150)), click(99, event_id="e"))

    assert outcome == "applied"
    assert state.actions[0].ts == 100
    assert (state.as_of_ts, state.event_ids) == (99, (event_digest("e"),))


def test_late_by_more_than_the_allowance_is_neither_placed_nor_remembered() -> None:
    on_time, _ = run(click(2 * HOUR_MS), click(HOUR_MS))
    late, outcome = run(click(2 * HOUR_MS), click(HOUR_MS - 1, event_id="e"))

    assert len(on_time.actions) == 2
    assert outcome == "late"
    assert late.actions == (Action(2 * HOUR_MS, "i", "click"),)
    assert (late.applied_offset, late.as_of_ts) == (1, HOUR_MS - 1)
    assert late.event_ids == ()
    assert late.sequence().now_ms == 2 * HOUR_MS


def test_time_too_far_ahead_is_clamped_to_the_record() -> None:
    just_fine, fine = run(click(NOW + 300_000))
    clamped, outcome = run(click(NOW + 300_001))

    assert (just_fine.as_of_ts, fine) == (NOW + 300_000, "applied")
    assert (clamped.as_of_ts, outcome) == (NOW, "future")
    assert clamped.actions == (Action(NOW, "i", "click"),)


def test_record_without_a_timestamp_has_no_future() -> None:
    before, _ = run(click(NOW))
    after, outcome = fold(before, click(NOW + 300_001), 1, -1, DEFAULT_RULES)

    assert outcome == "applied"
    assert after is not None and [action.ts for action in after.actions] == [NOW, NOW + 300_001]


def test_duplicate_changes_nothing_even_its_offset() -> None:
    before, _ = run(click(1, "e"))
    after, outcome = run(click(1, "e"), click(2, "e"))

    assert outcome == "duplicate"
    assert after == before


def test_event_id_is_forgotten_after_sixty_four_others() -> None:
    others = [click(ts, f"e{ts}") for ts in range(2, 2 + 64)]
    _, still_known = run(click(1, "e"), *others[:63], click(70, "e"))
    _, gone = run(click(1, "e"), *others, click(70, "e"))

    assert (still_known, gone) == ("duplicate", "applied")


def test_user_unseen_for_longer_than_the_time_to_live_starts_afresh() -> None:
    kept, _ = run(click(1, "e"), click(1 + 30 * DAY_MS, "f"))
    fresh, _ = run(click(1, "e"), click(2 + 30 * DAY_MS, "f"))

    assert len(kept.actions) == 2
    assert len(fresh.actions) == 1
    assert fresh.event_ids == (event_digest("f"),)


def test_forget_leaves_a_marker_and_a_later_event_starts_afresh() -> None:
    forget = Event("u", "", "forget", -1, None)
    marker, outcome = run(click(1, "e"), forget)
    back, again = run(click(1, "e"), forget, click(1, "e"))

    assert (marker, outcome) == (State(1, 0, forgotten=True), "forgotten")
    assert again == "applied"
    assert back == State(2, 1, (Action(1, "i", "click"),), (event_digest("e"),))
