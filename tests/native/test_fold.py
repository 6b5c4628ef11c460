"""The native fold: same states, outcomes and dead letters as the reference, byte for byte."""

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream.events import Event
from stream.user_state import Rules, UserState
from tests.native.folds import OUTCOMES, Native, Reference, fold_event
from tests.native.random_events import broken, random_message, random_rules
from tests.stream.fakes import NOW_MS, FakeMessage
from tests.stream.test_event_laws import message_lists
from tests.stream.test_user_state_laws import RULES, logs

core = pytest.importorskip("lately_native", reason="needs the native core: make native")

GOLDEN = Path(__file__).parents[1] / "stream/golden"
STATES = [
    bytes.fromhex(state["bytes"])
    for name in ("state-v1.json", "state-v2.json")
    for state in json.loads((GOLDEN / name).read_text(encoding="utf-8"))["states"]
]
LAST_MS = 253_402_300_799_999


def empty_users(rules: Rules = RULES) -> Any:
    return Native(rules).users


def outcome_of(users: Any) -> list[str]:
    counts = zip(OUTCOMES, users.take_outcomes(), strict=True)
    return [outcome for outcome, count in counts for _ in range(count)]


@settings(deadline=None)
@given(message_lists)
def test_every_list_of_messages_is_folded_alike(messages: list[FakeMessage]) -> None:
    assert Native(RULES).fold(messages) == Reference(RULES).fold(messages)


@settings(deadline=None)
@given(logs(max_size=20), st.lists(st.sampled_from(["", "a", "b", "c", None]), min_size=20))
def test_every_log_of_a_user_comes_to_the_same_bytes(
    log: list[Event], categories: list[str | None]
) -> None:
    users, state = empty_users(), UserState()
    users.load(b"u1", None)
    for event in map(_with_category, log, categories):
        fold_event(users, event)

        assert outcome_of(users) == [state.apply(event, RULES)]
        if state.applied_offset >= 0:
            assert users.value(b"u1") == state.to_bytes()


def _with_category(event: Event, category: str | None) -> Event:
    fields = {name: getattr(event, name) for name in event.__struct_fields__}
    return Event(**{**fields, "category": category})


# --- many random events, as they come and broken --------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_random_events_come_to_the_same_states_and_dead_letters(seed: int) -> None:
    random = Random(seed)
    rules = random_rules(random)
    native, reference = Native(rules), Reference(rules)
    offset, seen = 0, 0
    for _ in range(5):
        messages = []
        for _ in range(200):
            offset += random.choice((1, 1, 1, 2))
            message = random_message(random, offset)
            messages.append(broken(random, message) if random.random() < 0.2 else message)
        seen += len(messages)

        assert native.fold(messages) == reference.fold(messages)
    # Of four in five none is broken, and nothing in them is unusual.
    assert native.handed_back < seen / 4


# --- stored values --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", STATES, ids=range(len(STATES)))
def test_a_stored_value_is_taken_over_and_takes_the_next_event(value: bytes) -> None:
    rules = Rules(50, 64, 3_600_000, 300_000, 30 * 86_400_000)
    users, state = empty_users(rules), UserState.from_bytes(value)
    users.load(b"u1", value)
    assert users.value(b"u1") == value

    message = FakeMessage(None, offset=state.applied_offset + 1, timestamp=LAST_MS)
    event = Event(
        b"u1", message.offset, LAST_MS, "i9", "buy", LAST_MS, "e9", message, category="new"
    )
    fold_event(users, event)

    assert outcome_of(users) == [state.apply(event, rules)]
    assert users.value(b"u1") == state.to_bytes()


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(STATES), st.data())
def test_a_damaged_value_is_taken_only_if_python_would_write_it_so(
    value: bytes, data: st.DataObject
) -> None:
    damaged = bytearray(value)
    for at in data.draw(st.lists(st.integers(0, len(value) - 1), min_size=1, max_size=3)):
        damaged[at] = data.draw(st.integers(0, 255))
    damaged = damaged[: data.draw(st.integers(0, len(value)) | st.just(len(value)))]
    damaged += data.draw(st.just(b"") | st.binary(max_size=3))

    try:
        empty_users().load(b"u1", bytes(damaged))
    except ValueError:
        return  # handed back
    assert UserState.from_bytes(bytes(damaged)).to_bytes() == damaged


def test_a_longer_form_of_the_same_value_is_handed_back() -> None:
    value = UserState.expired(5).to_bytes()
    longer = value[:2] + b"\xcc\x05" + value[3:]  # 5 in two bytes
    assert UserState.from_bytes(longer).to_bytes() == value

    with pytest.raises(ValueError, match="not as Python would write it"):
        empty_users().load(b"u1", longer)


def test_a_user_who_is_here_is_not_loaded_over() -> None:
    users = empty_users()
    users.load(b"u1", UserState.expired(7).to_bytes())

    users.load(b"u1", None)

    assert users.value(b"u1") == UserState.expired(7).to_bytes()
    assert len(users) == 1


def test_an_event_of_a_user_who_is_not_loaded_is_handed_back() -> None:
    message = FakeMessage(None)
    event = Event(b"u1", 0, NOW_MS, "i1", "click", NOW_MS, None, message)

    with pytest.raises(ValueError, match="not loaded"):
        fold_event(empty_users(), event)
