"""A letter gives back the message that it was, and nothing of what we added."""

from typing import Any, NamedTuple

import pytest

from stream.commands.dead import Newest, replay_letters
from stream.errors import SettingsError
from stream.events import DeadLetter
from stream.kafka.dead_letters import Letter, Place, shown
from stream.kafka.producer import dead_letter_record
from stream.settings import KafkaSettings
from tests.stream.fakes import FakeMessage


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
        Place.parse(text)


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
    assert shown(value) == text


def test_the_newest_letters_are_kept_whatever_the_order_of_reading() -> None:
    newest = Newest(limit=2)
    for offset, timestamp in enumerate([3000, 9000, 1000, 5000]):
        newest.add(letter(FakeMessage(b"four", b"k"), offset, timestamp))

    assert newest.reasons == {"bad_time": 4}
    assert newest.rows(now_ms=10_000) == [
        {"partition": 1, "offset": 1, "reason": "bad_time", "age_s": 1, "size_bytes": 5},
        {"partition": 1, "offset": 3, "reason": "bad_time", "age_s": 5, "size_bytes": 5},
    ]


@pytest.mark.parametrize(
    "which",
    [
        {"places": []},
        {"places": ["0:1"], "everything": True},
        {"places": [], "reason": "bad_time", "everything": True},
        {"places": [], "reason": "no reason of ours"},
    ],
)
def test_a_replay_that_does_not_say_which_letters_is_refused(which: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="reason"):
        replay_letters(KafkaSettings(), **which)
