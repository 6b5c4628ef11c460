"""A message becomes an event or a dead letter: the reasons, their order, and the edges of each."""

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from stream.events import DeadLetter, Event, Validator
from tests.stream.fakes import NOW_MS, FakeMessage, click, click_with, forget
from tests.stream.verdicts import HOME, MAX_BYTES, VALIDATOR, only_dead, only_event, with_text

# --- what an event is -------------------------------------------------------------------------


def test_a_plain_message_becomes_an_event_with_the_records_offset_and_timestamp() -> None:
    message = click("u1", 7, item_id="i9", action="cart", ts=NOW_MS - 5, event_id="e1")

    assert only_event(message) == Event(b"u1", 7, NOW_MS, "i9", "cart", NOW_MS - 5, "e1", message)


def test_no_messages_give_no_events() -> None:
    assert VALIDATOR.validate([], HOME) == ([], [])


def test_optional_and_unknown_fields_are_taken_or_ignored() -> None:
    message = click(session_id="s", category="shoes", price=12, quantity=0.5, colour=["red"])

    assert only_event(message).item == "i0"


@pytest.mark.parametrize("name", ["event_id", "session_id", "category", "price", "quantity"])
def test_an_optional_field_may_be_null(name: str) -> None:
    assert only_event(with_text(name, "null")).event_id is None


@pytest.mark.parametrize(
    "user", ["x" * 256, "😀" * 256, "\0", '"', "a b", "ü", "\U0010ffff", "u\u0301"]
)
def test_a_user_may_have_any_name_of_up_to_256_characters(user: str) -> None:
    assert only_event(click(user)).key == user.encode()


def test_a_forget_needs_neither_item_nor_time_and_happens_at_the_records_timestamp() -> None:
    event = only_event(forget("u1", 3))

    assert (event.action, event.item, event.ts_ms) == ("forget", "", NOW_MS)


def test_a_forget_is_heeded_whatever_its_clock_says() -> None:
    assert only_event(click(action="forget", ts=True)).action == "forget"


# --- the reasons, and the first of them ----------------------------------------------------------


@dataclass
class Draft:
    """A message in the making, to which faults are added."""

    body: dict[str, Any] = field(
        default_factory=lambda: {"user_id": "u1", "item_id": "i", "action": "click", "ts": NOW_MS}
    )
    key: bytes | None = b"u1"
    partition: int = HOME
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    tail: bytes = b""

    def dead(self) -> DeadLetter:
        value = json.dumps(self.body).encode().replace(b"BROKEN", b"\xff") + self.tail
        message = FakeMessage(value, self.key, headers=self.headers)
        return only_dead(message, self.partition)


def too_large(draft: Draft) -> None:
    draft.tail += b" " * MAX_BYTES


def not_utf8(draft: Draft) -> None:
    draft.body["category"] = "BROKEN"


def not_json(draft: Draft) -> None:
    draft.tail += b"}"


def bad_schema(draft: Draft) -> None:
    draft.body["price"] = "dear"


def unknown_action(draft: Draft) -> None:
    draft.body["action"] = "browse"


def bad_time(draft: Draft) -> None:
    draft.body["ts"] = True


def missing_key(draft: Draft) -> None:
    draft.key, draft.partition = None, HOME + 1


def key_mismatch(draft: Draft) -> None:
    draft.key = b"u2"


Fault = Callable[[Draft], None]
# In the order in which they are looked for.
FAULTS: list[Fault] = [
    *(too_large, not_utf8, not_json, bad_schema, unknown_action, bad_time),
    *(missing_key, key_mismatch),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_each_fault_has_its_reason(fault: Fault) -> None:
    draft = Draft()
    fault(draft)

    assert draft.dead().reason == fault.__name__


@pytest.mark.parametrize(
    ("first", "second"),
    [pair for pair in itertools.combinations(FAULTS, 2) if pair != (missing_key, key_mismatch)],
    ids=lambda fault: fault.__name__,
)
def test_of_two_faults_the_first_decides(first: Fault, second: Fault) -> None:
    draft = Draft()
    second(draft)
    first(draft)

    assert draft.dead().reason == first.__name__


@pytest.mark.parametrize("second", [unknown_action, bad_time, missing_key, key_mismatch])
def test_a_bad_cloudevents_id_is_bad_schema_before_what_comes_after_the_schema(
    second: Fault,
) -> None:
    draft = Draft(headers=[("ce_id", b"\xff")])
    second(draft)

    assert draft.dead().reason == "bad_schema"


def test_a_dead_letter_keeps_the_message_and_says_in_words_what_is_wrong() -> None:
    message = click(price="dear")

    dead = only_dead(message)

    assert dead.message is message
    assert dead.exception == "ValidationError"
    assert "price" in dead.text


# --- the edges of each reason -------------------------------------------------------------------


def test_a_value_of_just_the_largest_size_is_taken() -> None:
    message = click()
    assert message.value is not None
    message.value = message.value.ljust(MAX_BYTES)
    assert only_event(message)

    message.value += b" "
    assert only_dead(message).reason == "too_large"


@pytest.mark.parametrize("field_name", ["user_id", "item_id", "action", "ts", "note"])
def test_a_byte_that_is_not_utf8_is_found_in_whatever_field(field_name: str) -> None:
    message = click_with(field_name, "BROKEN")
    assert message.value is not None
    message.value = message.value.replace(b"BROKEN", b"\xed\xa0\x80")  # a surrogate, in bytes

    assert only_dead(message).reason == "not_utf8"


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"   ",
        b"{",
        b"click",
        b"{'a': 1}",
        b"{}{}",
        b'{"a":1e999}x',
        b'\xef\xbb\xbf{"user_id": "u1"}',
    ],
)
def test_what_is_not_json_is_called_so(value: bytes | None) -> None:
    assert only_dead(FakeMessage(value)).reason == "not_json"


@pytest.mark.parametrize("text", ["NaN", "01", "1.", "[1,]", '"\\q"', '"\n"', '"\\ud800"'])
@pytest.mark.parametrize("name", ["price", "note"])
def test_json_is_read_by_the_letter_in_ignored_fields_too(name: str, text: str) -> None:
    assert only_dead(with_text(name, text)).reason == "not_json"


@pytest.mark.parametrize("name", ["user_id", "item_id", "action", "event_id", "session_id"])
@pytest.mark.parametrize("surrogate", ["\\ud800", "\\udfff", "\\ud800\\ud800", "a\\udc00b"])
def test_a_lone_surrogate_is_no_text(name: str, surrogate: str) -> None:
    assert only_dead(with_text(name, f'"{surrogate}"')).reason == "not_json"


def test_a_whole_surrogate_pair_is_a_character() -> None:
    message = with_text("user_id", '"\\ud83d\\ude00"')
    message.key = "😀".encode()

    assert only_event(message).key == "😀".encode()


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("neighbours", [0, 50])
def test_nesting_has_a_floor(opening: str, closing: str, neighbours: int) -> None:
    validator = Validator(frozenset({"click"}), 1_000_000, lambda _: HOME)
    plain = [with_text("note", "0")] * neighbours

    def dead_at(depth: int) -> list[str]:
        message = with_text("note", opening * depth + "0" + closing * depth)
        return [dead.reason for dead in validator.validate([*plain, message], HOME)[1]]

    # The event is the first of 8 levels.
    assert dead_at(7) == []
    assert dead_at(8) == ["too_large"]
    assert dead_at(50_000) == ["too_large"]


def test_brackets_within_a_text_are_no_nesting() -> None:
    message = with_text("note", r'"[[[[[[[[[[[[\\\"[[[[[["')

    assert VALIDATOR.validate([message], HOME)[1] == []


@pytest.mark.parametrize("value", [b"null", b"[]", b'"click"', b"1", b"true", b"{}"])
def test_json_that_is_no_event_is_bad_schema(value: bytes) -> None:
    assert only_dead(FakeMessage(value)).reason == "bad_schema"


@pytest.mark.parametrize("name", ["user_id", "item_id", "action"])
@pytest.mark.parametrize("text", ["null", "5", "true", '""', "[]", f'"{"x" * 257}"'])
def test_what_is_needed_is_a_text_of_the_right_length(name: str, text: str) -> None:
    assert only_dead(with_text(name, text)).reason == "bad_schema"


@pytest.mark.parametrize("name", ["user_id", "item_id", "action"])
def test_what_is_needed_is_there(name: str) -> None:
    assert only_dead(click_with(name, None)).reason == "bad_schema"


@pytest.mark.parametrize("name", ["price", "quantity"])
@pytest.mark.parametrize("text", ["true", '"1"', "[]", "1" + "0" * 400])
def test_a_number_is_a_number_that_a_double_holds(name: str, text: str) -> None:
    assert only_dead(with_text(name, text)).reason == "bad_schema"


def test_a_forget_with_an_item_that_is_no_text_is_bad_schema() -> None:
    message = with_text("item_id", "null")
    assert message.value is not None
    message.value = message.value.replace(b"click", b"forget")

    assert only_dead(message).reason == "bad_schema"
