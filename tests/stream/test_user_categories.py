"""The categories of a state: which name an action gets, and which names stay."""

import pytest

from stream.user_categories import MOST_NAMES, place
from stream.user_state import Rules, UserState
from tests.stream.fakes import event

RULES = Rules(
    sequence_length=3, dedupe_window=0, allowed_lateness_ms=100, max_future_ms=50, ttl_ms=1_000
)


def folded(*categories: str | None, rules: Rules = RULES) -> UserState:
    """The state after a click every millisecond from 500 on, with these categories."""
    state = UserState()
    for offset, category in enumerate(categories):
        state.apply(event(offset, 500 + offset, category=category), rules)
    return state


def test_a_category_is_named_once_for_all_of_its_actions() -> None:
    state = folded("shoes", "hats", "shoes")

    assert state.category_names == ("shoes", "hats")
    assert state.category_indices == b"\1\2\1"
    assert state.sequence().categories() == ("shoes", "hats", "shoes")


@pytest.mark.parametrize("none", [None, ""])
def test_an_event_without_a_category_or_with_an_empty_one_has_none(none: str | None) -> None:
    assert folded(none, "shoes", none).sequence().categories() == (None, "shoes", None)
    assert folded(none, none).sequence().categories() == ()


def test_a_value_without_categories_is_version_1_byte_for_byte() -> None:
    assert folded(None, "").to_bytes() == folded(None, None).to_bytes()
    assert folded(None).to_bytes()[0] == 1


def test_a_category_moves_with_its_action_to_where_its_time_belongs() -> None:
    state = folded(None, "hats")

    state.apply(event(2, 450, category="shoes"), RULES)

    assert state.items == ["i2", "i0", "i1"]
    assert state.sequence().categories() == ("shoes", None, "hats")


def test_a_name_goes_with_the_last_of_its_actions() -> None:
    state = folded("shoes", "hats", "bags", "hats")

    assert state.category_names == ("hats", "bags")
    assert state.category_indices == b"\1\2\1"


def test_a_name_stays_while_an_action_has_it() -> None:
    assert folded("shoes", "hats", "shoes", "bags").category_names == ("shoes", "hats", "bags")


def test_with_the_last_category_the_value_is_version_1_again() -> None:
    state = folded("shoes", None, None, None)

    assert (state.category_names, state.category_indices) == ((), b"")
    assert state.to_bytes()[0] == 1


def test_an_action_that_falls_off_a_full_sequence_leaves_no_name() -> None:
    state = folded(None, None, None)

    state.apply(event(3, 450, category="shoes"), RULES)

    assert state.to_bytes()[0] == 1


def test_a_sequence_length_made_smaller_drops_all_names_that_fall_out() -> None:
    state = folded("a", "b", "c", rules=RULES)
    shorter = Rules(1, 0, 100, 50, 1_000)

    state.apply(event(3, 503, category="b"), shorter)

    assert (state.category_names, state.category_indices) == (("b",), b"\1")


def test_a_late_event_brings_no_category() -> None:
    state = folded("shoes")

    assert state.apply(event(1, 300, category="hats"), RULES) == "late"
    assert state.category_names == ("shoes",)


@pytest.mark.parametrize(
    "then", [event(9, action="forget"), event(9, 5_000)], ids=["forget", "a silence"]
)
def test_who_starts_over_has_no_categories(then: object) -> None:
    state = folded("shoes", "hats")

    state.apply(then, RULES)  # type: ignore[arg-type]

    assert (state.category_names, state.category_indices) == ((), b"")
    assert state.to_bytes()[0] == 1


def test_the_256th_name_is_not_kept_until_there_is_room() -> None:
    full, indices = tuple(f"c{n}" for n in range(MOST_NAMES)), bytes(range(1, MOST_NAMES + 1))

    names, after = place(full, indices, "one more", MOST_NAMES, MOST_NAMES, 1_000)
    assert (names, after) == (full, indices + b"\0")

    # The oldest action falls out now, and c0 with it: each index is one lower.
    names, after = place(full, indices, "one more", MOST_NAMES, MOST_NAMES, MOST_NAMES)
    assert (names, after) == (full[1:], bytes(range(1, MOST_NAMES)) + b"\0")
    names, after = place(names, after, "one more", MOST_NAMES, MOST_NAMES, 1_000)
    assert names == (*full[1:], "one more")
    assert after[-1] == MOST_NAMES
