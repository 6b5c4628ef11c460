"""Letters are counted, and replayed only when it is clear which."""

from types import SimpleNamespace
from typing import Any

import pytest

from stream.commands.dead import Newest, hint_if_old, replay_letters
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


HOUR_MS = 3_600_000
NOW_MS = 1_790_000_000_000


@pytest.mark.parametrize(
    ("age_ms", "told"),
    [
        (None, ""),
        (-1, ""),  # a clock ahead of ours
        (HOUR_MS, ""),  # just the allowed lateness
        (HOUR_MS + 1, "is of 1 h ago"),
        (50 * HOUR_MS, "is of 2 d ago"),
    ],
)
def test_letters_older_than_the_allowed_lateness_get_a_hint(age_ms: int | None, told: str) -> None:
    """Of a few late events among many others a worker logs nothing."""
    hint = hint_if_old(None if age_ms is None else NOW_MS - age_ms, NOW_MS)

    assert (told in hint, "--allowed-lateness-ms" in hint) == (True, bool(told))
