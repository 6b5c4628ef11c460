"""A batch reaches every failpoint, so that the crash tests on a real broker do crash."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from stream import failpoints
from tests.stream.fakes import FakeMessage, click, forget
from tests.stream.world import on_a_loop, world

pytestmark = pytest.mark.usefixtures("core")


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The signals that the process would have sent itself."""
    sent: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append(number))
    yield sent
    failpoints._hits_left.clear()


# "committed" is left out: the committer reaches it, not a batch.
@pytest.mark.parametrize("name", sorted(set(failpoints.NAMES) - {"committed"}))
def test_batch_of_score_dead_letter_and_receipt_hits_every_failpoint(
    name: str, killed: list[int], tmp_path: Path
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.feed(click("u1", 0), forget("u2", 1), FakeMessage(b"no JSON", offset=2))
            await w.acknowledge_all()
            assert killed == []  # no failpoint is armed

            failpoints.arm({failpoints.VARIABLE: f"{name}:2"})
            await w.feed(click("u1", 3), forget("u2", 4), FakeMessage(b"no JSON", offset=5))
            await w.acknowledge_all()
            assert killed == []  # due the second time, and this was the first
            await w.feed(click("u1", 6), forget("u2", 7), FakeMessage(b"no JSON", offset=8))
            await w.acknowledge_all()

        assert killed == [signal.SIGKILL]

    scenario()
