"""A letter says why it is dead, and gives back the message that it was."""

import json
from importlib.resources import files
from typing import NamedTuple

import pytest
from jsonschema import Draft202012Validator

from stream.errors import SettingsError
from stream.events import DeadLetter
from stream.kafka.dead_letters import Letter, Location, dead_letter_record, printable_bytes
from tests.stream.fakes import FakeMessage, click

TEXT = files("stream").joinpath("schemas/dead_letter.schema.json").read_text(encoding="utf-8")
DEAD_SCHEMA = Draft202012Validator(json.loads(TEXT))


class Written(NamedTuple):
    """A record of the dead letter topic as the consumer gives it."""

    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...]


def letter(message: FakeMessage, offset: int = 7, timestamp: int = 0) -> Letter:
    dead = DeadLetter(message, "bad_time", "Invalid", "ts is missing")
    key, value, headers = dead_letter_record("events", 3, dead)
    return Letter(Written(1, offset, timestamp, key, value, tuple(headers)))


def test_a_dead_letter_keeps_key_value_and_headers_and_adds_the_reason() -> None:
    message = FakeMessage(b"\xff", b"u1", 7, headers=[("ce_id", b"1"), ("x", b"\xff")])
    dead = DeadLetter(message, "not_utf8", "UnicodeDecodeError", "byte 0 is not UTF-8")

    key, value, headers = dead_letter_record("lately.events", 3, dead)

    assert (key, value, headers[:2]) == (b"u1", b"\xff", [("ce_id", b"1"), ("x", b"\xff")])
    added = {name: (text or b"").decode() for name, text in headers[2:]}
    DEAD_SCHEMA.validate(added)
    assert added == {
        "__streams.errors.topic": "lately.events",
        "__streams.errors.partition": "3",
        "__streams.errors.offset": "7",
        "__streams.errors.exception": "UnicodeDecodeError",
        "__streams.errors.message": "byte 0 is not UTF-8",
        "lately.reason": "not_utf8",
    }


def test_a_dead_letter_goes_out_whatever_the_error_says() -> None:
    # A scorer's message may hold anything a Python text can, a lone surrogate too.
    dead = DeadLetter(click(), "unscorable", "ValueError", "item \ud800 is unknown")

    _, _, headers = dead_letter_record("lately.events", 0, dead)

    assert (dict(headers)["__streams.errors.message"] or b"").startswith(b"item ")


@pytest.mark.parametrize(
    "message",
    [
        FakeMessage(b"\xff", b"\x00"),
        FakeMessage(None, None),
        FakeMessage(b"{}", headers=[("trace", b"\x01"), ("trace", None)]),
        # The producer's own headers may be called as ours are: another system's dead letter.
        FakeMessage(b"{}", headers=[("lately.reason", b"x"), ("__streams.errors.topic", b"y")]),
    ],
)
def test_the_message_comes_back_as_it_was_with_a_word_of_where_it_lay(message: FakeMessage) -> None:
    key, value, headers = letter(message).message()

    assert (key, value) == (message.key, message.value)
    assert headers == [*message.headers, ("lately.replayed", b"1:7")]


def test_of_several_replays_the_last_is_said() -> None:
    message = FakeMessage(b"{}", headers=[("lately.replayed", b"0:1"), ("trace", b"t")])

    assert letter(message).message()[2] == [("trace", b"t"), ("lately.replayed", b"1:7")]


def test_our_own_headers_are_read_and_not_the_producers_of_the_same_name() -> None:
    read = letter(FakeMessage(b"{}", headers=[("lately.reason", b"x")]))

    assert (read.reason, read.source) == ("bad_time", ("events", 3))


def test_a_record_that_no_worker_wrote_is_no_letter_of_ours() -> None:
    stranger = Letter(Written(0, 0, 0, None, b"x", (("lately.reason", b"bad_time"),)))

    assert (stranger.is_ours, stranger.reason) == (False, "none")


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "1:-1", "a:1", "1:2:3", "١:٢"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(SettingsError, match="is not PARTITION:OFFSET"):
        Location.parse(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (b"", ""),
        ("käufer 🛒".encode(), "käufer 🛒"),
        (b"\xff\x00", "\\xff\\x00"),
        (b"\x1b[31m\n", "\\x1b[31m\\n"),  # or a message could write to the terminal
        ("\u202e".encode(), "\\u202e"),  # turns the reading direction round
    ],
)
def test_bytes_are_shown_as_text_and_escaped_where_they_are_none(
    value: bytes | None, text: str
) -> None:
    assert printable_bytes(value) == text
