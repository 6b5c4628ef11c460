"""Letters are counted, and replayed only when it is clear which."""

from types import SimpleNamespace
from typing import Any

import pytest

from stream.commands.dead import Newest, replay_letters
from stream.errors import SettingsError
from stream.events import DeadLetter
from stream.kafka.dead_letters import Letter, dead_letter_record
from stream.settings import KafkaSettings
from tests.stream.fakes import FakeMessage


def letter(offset: int, timestamp: int) -> Letter:
    dead = DeadLetter(FakeMessage(b"four", b"k"), "bad_time", "Invalid", "ts is missing")
    key, value, headers = dead_letter_record("events", 3, dead)
    return Letter(
        SimpleNamespace(
            partition=1,
            offset=offset,
            timestamp=timestamp,
            key=key,
            value=value,
            headers=headers,
        )
    )


def test_the_newest_letters_are_kept_whatever_the_order_of_reading() -> None:
    newest = Newest(limit=2)
    for offset, timestamp in enumerate([3000, 9000, 1000, 5000]):
        newest.add(letter(offset, timestamp))

    assert newest.reasons == {"bad_time": 4}
    assert newest.rows(now_ms=10_000) == [
        {"partition": 1, "offset": 1, "reason": "bad_time", "age_s": 1, "size_bytes": 5},
        {"partition": 1, "offset": 3, "reason": "bad_time", "age_s": 5, "size_bytes": 5},
    ]


@pytest.mark.parametrize(
    "which",
    [
        {"locations": []},
        {"locations": ["0:1"], "everything": True},
        {"locations": [], "reason": "bad_time", "everything": True},
        {"locations": [], "reason": "no reason of ours"},
    ],
)
def test_a_replay_that_does_not_say_which_letters_is_refused(which: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="reason"):
        replay_letters(KafkaSettings(), **which)
