"""A worker's life: it starts, serves until it is stopped or something fails, and drains."""

import asyncio
import logging
import os
import signal
from asyncio import Future, Task
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from stream.errors import DamagedState, LatelyError
from stream.health import Health
from stream.worker.wiring import Parts
from stream.worker.worker import LEAVE_S, Worker
from tests.stream.fakes import settle
from tests.stream.world import on_a_loop

DRAIN_S = 6.0


@pytest.fixture(autouse=True)
def logging_goes_on() -> Iterator[None]:
    """A worker that is stopped while it starts ends the log of its process; this one goes on."""
    yield
    logging.disable(logging.NOTSET)


class FakeMember:
    """A member of a group that writes down what is asked of it."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls
        self.faust: Future[BaseException | None] = asyncio.get_running_loop().create_future()

    async def wait_until_stopped(self) -> BaseException | None:
        return await self.faust

    def stop_flow(self) -> None:
        self.calls.append("stop flow")

    async def drain(self, budget_s: float) -> bool:
        self.calls.append(f"drain within {budget_s:g} s")
        return True

    async def leave(self, timeout_s: float) -> None:
        self.calls.append(f"leave within {timeout_s:g} s")


class FakeStore:
    """A store that writes down which partitions are wiped."""

    def __init__(self, calls: list[str]) -> None:
        self.calls = calls

    def wipe(self, partition: int, cause: str) -> None:
        self.calls.append(f"wipe {partition}: {cause}")


class FakeWiring:
    """Parts that a test moves by hand; ``started`` lets the start end."""

    def __init__(self) -> None:
        self.reload = asyncio.Event()
        self.started = asyncio.Event()
        self.error: Exception | None = None
        self.calls: list[str] = []
        loop = asyncio.get_running_loop()
        self.failed: Future[None] = loop.create_future()
        self.service: Future[None] = loop.create_future()
        self.health = Health(0.0)
        self.member = FakeMember(self.calls)

    async def start(self, stack: AsyncExitStack) -> Parts:
        stack.callback(self.calls.append, "close")
        await self.started.wait()
        if self.error is not None:
            raise self.error
        member: Any = self.member
        store: Any = FakeStore(self.calls)
        return Parts(self.health, store, member, self.failed, [self._serve()])

    def _serve(self) -> "Task[None]":
        async def serve() -> None:
            await self.service

        return asyncio.create_task(serve())


async def running(wiring: FakeWiring, *, started: bool = True) -> "Task[None]":
    task = asyncio.create_task(Worker(wiring, DRAIN_S).run())
    if started:
        wiring.started.set()
    await settle()
    return task


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def ended(task: "Task[None]") -> None:
    """Wait for the end; raises the worker's error."""
    await asyncio.wait_for(task, 5.0)


@on_a_loop
async def test_a_signal_drains_then_leaves_then_closes() -> None:
    wiring = FakeWiring()
    task = await running(wiring)
    assert wiring.calls == []
    stop()
    await ended(task)

    assert wiring.calls == [
        "stop flow",
        f"drain within {DRAIN_S:g} s",
        f"leave within {LEAVE_S:g} s",
        "close",
    ]
    assert wiring.health.ready()[1]["worker"] == "the worker stops"


@on_a_loop
async def test_a_signal_during_the_start_ends_it() -> None:
    wiring = FakeWiring()
    task = await running(wiring, started=False)
    stop()
    await ended(task)

    assert wiring.calls == ["close"]  # nothing to drain, and no group to leave


@on_a_loop
async def test_an_error_of_the_start_is_raised_and_what_was_started_is_closed() -> None:
    wiring = FakeWiring()
    wiring.error = LatelyError("no broker")
    task = await running(wiring)

    with pytest.raises(LatelyError, match="no broker"):
        await ended(task)
    assert wiring.calls == ["close"]


async def fail_the_pipeline(wiring: FakeWiring) -> None:
    wiring.failed.set_exception(LatelyError("refused"))


async def fail_a_service(wiring: FakeWiring) -> None:
    wiring.service.set_exception(LatelyError("refused"))


async def crash_faust(wiring: FakeWiring) -> None:
    wiring.member.faust.set_result(LatelyError("refused"))


@pytest.mark.parametrize("fail", [fail_the_pipeline, fail_a_service, crash_faust])
def test_an_error_while_serving_ends_the_worker_without_a_commit(
    fail: Callable[[FakeWiring], Awaitable[None]],
) -> None:
    @on_a_loop
    async def scenario() -> None:
        wiring = FakeWiring()
        task = await running(wiring)
        await fail(wiring)

        with pytest.raises(LatelyError, match="refused"):
            await ended(task)
        assert wiring.calls == ["stop flow", "close"]  # draining would commit

    scenario()


@on_a_loop
async def test_faust_that_stops_on_its_own_is_an_error() -> None:
    wiring = FakeWiring()
    task = await running(wiring)
    wiring.member.faust.set_result(None)

    with pytest.raises(LatelyError, match="Faust stopped on its own"):
        await ended(task)


@on_a_loop
async def test_damaged_state_is_wiped_before_the_worker_ends() -> None:
    wiring = FakeWiring()
    task = await running(wiring)
    wiring.failed.set_exception(DamagedState(3, OSError("bad block")))

    with pytest.raises(DamagedState):
        await ended(task)
    assert wiring.calls == ["stop flow", "wipe 3: corrupt", "close"]


@on_a_loop
async def test_sighup_reloads_the_artifact_and_nothing_stops() -> None:
    wiring = FakeWiring()
    task = await running(wiring)
    os.kill(os.getpid(), signal.SIGHUP)
    await settle()

    assert wiring.reload.is_set()
    assert wiring.calls == []
    stop()
    await ended(task)
