"""Failpoints: there when asked for, and only then."""

import os
import signal
from collections.abc import Iterator

import pytest

from stream import failpoints
from stream.errors import SettingsError


@pytest.fixture(autouse=True)
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    yield sent
    failpoints._hits_left.clear()


def test_nothing_happens_unless_asked_for(signals: list[tuple[int, int]]) -> None:
    failpoints.arm({})
    for name in failpoints.NAMES:
        failpoints.hit(name)

    assert signals == []


def test_the_process_is_killed_at_its_place_the_nth_time(signals: list[tuple[int, int]]) -> None:
    failpoints.arm({"LATELY_FAILPOINT": "state_put:2"})
    failpoints.hit("committed")
    failpoints.hit("state_put")
    assert signals == []

    failpoints.hit("state_put")
    assert signals == [(os.getpid(), signal.SIGKILL)]


@pytest.mark.parametrize("asked", ["nowhere:1", "state_put", "state_put:0", "state_put:x"])
def test_what_makes_no_sense_is_refused(asked: str) -> None:
    with pytest.raises(SettingsError, match="is not NAME:N"):
        failpoints.arm({"LATELY_FAILPOINT": asked})
