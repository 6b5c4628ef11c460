"""A batch comes by every failpoint, or the tests on a real broker would crash nobody there."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream import failpoints
from tests.stream.fakes import FakeMessage, click, forget
from tests.stream.world import on_a_loop, world


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that the process would have sent itself."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    yield sent
    failpoints._hits_left.clear()


# After the commit comes none: that is not of a batch.
@pytest.mark.parametrize("place", sorted(set(failpoints.NAMES) - {"committed"}))
def test_a_score_a_dead_letter_and_a_receipt_come_by(
    place: str, killed: list[int], tmp_path: Path
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.feed(click("u1", 0), forget("u2", 1), FakeMessage(b"no JSON", offset=2))
            await w.acknowledge_all()
            assert killed == []  # nobody asked for it

            failpoints.arm({failpoints.VARIABLE: f"{place}:2"})
            await w.feed(click("u1", 3), forget("u2", 4), FakeMessage(b"no JSON", offset=5))
            await w.acknowledge_all()
            assert killed == []  # the second time, and this was the first
            await w.feed(click("u1", 6), forget("u2", 7), FakeMessage(b"no JSON", offset=8))
            await w.acknowledge_all()

        assert killed == [signal.SIGKILL]

    scenario()
