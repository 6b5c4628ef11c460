"""Properties of validation for any message: neighbours, order, the schema, nothing raised."""

import json
from datetime import datetime, timedelta, timezone
from importlib.resources import files
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from model.times import FIRST_TS_MS, LAST_TS_MS
from tests.stream.fakes import NOW_MS, FakeMessage, click, forget
from tests.stream.verdicts import HOME, MAX_BYTES, VALIDATOR

SCHEMA = Draft202012Validator(
    json.loads(files("stream").joinpath("schemas/event.schema.json").read_text(encoding="utf-8"))
)
FIELDS = (
    *("user_id", "item_id", "action", "ts", "event_id", "session_id"),
    *("category", "price", "quantity", "note"),
)

floats = st.floats(allow_nan=False, allow_infinity=False)
texts = st.text(st.characters(codec="utf-8"), max_size=20)
scalars = st.none() | st.booleans() | st.integers() | floats | texts
json_values = scalars | st.lists(scalars, max_size=2)
user_ids = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
clicks = st.builds(click, user=user_ids)
json_bodies = st.builds(
    lambda user, changes: click(user, **changes),
    user_ids,
    st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=3),
)
any_bytes = st.builds(FakeMessage, st.none() | st.binary(max_size=80), st.none() | st.binary())
headers = st.lists(st.tuples(st.sampled_from(["ce_id", "ce_time", "x"]), st.binary(max_size=30)))


@st.composite
def spliced(draw: st.DrawFn) -> FakeMessage:
    """A click with some bytes of it replaced by others."""
    message = draw(clicks)
    assert message.value is not None
    start = draw(st.integers(0, len(message.value)))
    end = start + draw(st.integers(0, 8))
    message.value = message.value[:start] + draw(st.binary(max_size=8)) + message.value[end:]
    message.headers = draw(headers)
    return message


odd_messages = (
    any_bytes
    | json_bodies
    | spliced()
    | st.builds(forget, user_ids)
    | st.just(FakeMessage(b" " * (MAX_BYTES + 1)))
)
message_lists = st.lists(clicks | odd_messages, max_size=4).map(
    lambda messages: [_at(message, offset) for offset, message in enumerate(messages)]
)


def _at(message: FakeMessage, offset: int) -> FakeMessage:
    return FakeMessage(message.value, message.key, offset, NOW_MS, message.headers)


@settings(deadline=None, max_examples=150)
@given(message_lists)
def test_every_message_becomes_one_event_or_one_dead_letter_in_order(
    messages: list[FakeMessage],
) -> None:
    events, dead = VALIDATOR.validate(messages, HOME)

    event_offsets = [event.offset for event in events]
    dead_offsets = [letter.message.offset for letter in dead]
    assert event_offsets == sorted(event_offsets)
    assert dead_offsets == sorted(dead_offsets)
    assert sorted(event_offsets + dead_offsets) == list(range(len(messages)))


@settings(deadline=None, max_examples=150)
@given(message_lists)
def test_a_message_gives_what_it_gives_alone_whoever_stands_beside_it(
    messages: list[FakeMessage],
) -> None:
    together = VALIDATOR.validate(messages, HOME)

    alone = [VALIDATOR.validate([message], HOME) for message in messages]
    assert together[0] == [event for events, _ in alone for event in events]
    assert together[1] == [letter for _, dead in alone for letter in dead]


@settings(deadline=None)
@given(st.lists(clicks, min_size=1, max_size=5))
def test_one_odd_message_sends_all_the_slow_way_and_changes_nothing(
    messages: list[FakeMessage],
) -> None:
    plain = [_at(message, offset) for offset, message in enumerate(messages)]

    fast, _ = VALIDATOR.validate(plain, HOME)
    slow, dead = VALIDATOR.validate([*plain, FakeMessage(None, offset=len(plain))], HOME)

    assert slow == fast
    assert len(dead) == 1


@settings(deadline=None, max_examples=150)
@given(json_bodies)
def test_what_is_taken_fits_the_schema(message: FakeMessage) -> None:
    events, _ = VALIDATOR.validate([message], HOME)

    assert message.value is not None
    if events and events[0].action != "forget":
        SCHEMA.validate(json.loads(message.value))


# A day from either end, so that no zone moves a time out of the range.
zoned_times = st.builds(
    lambda ms, minutes: datetime.fromtimestamp(ms / 1000, timezone(timedelta(minutes=minutes))),
    st.integers(86_400_000, LAST_TS_MS - 86_400_000),
    st.integers(-1439, 1439),
)
good_bodies = st.fixed_dictionaries(
    {
        "user_id": st.just("u1"),
        "item_id": st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        "action": st.sampled_from(["click", "cart", "buy"]),
        "ts": st.integers(FIRST_TS_MS, LAST_TS_MS) | zoned_times.map(datetime.isoformat),
    },
    optional={
        "event_id": st.none() | texts.filter(bool),
        "session_id": st.none() | texts,
        "category": st.none() | texts,
        "price": st.none() | st.integers() | floats,
        "note": json_values,
    },
)


@settings(deadline=None)
@given(good_bodies)
def test_what_fits_the_schema_is_taken(body: dict[str, Any]) -> None:
    SCHEMA.validate(body)

    events, dead = VALIDATOR.validate([FakeMessage(json.dumps(body).encode())], HOME)

    assert [letter.reason for letter in dead] == []
    assert len(events) == 1
