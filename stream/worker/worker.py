"""The life of a worker: start, serve until stopped or failed, drain."""

import asyncio
import logging
import signal
from asyncio import Task
from contextlib import AsyncExitStack
from typing import Any, Protocol

import structlog

from stream.errors import DamagedState, LatelyError
from stream.worker.wiring import Parts

LEAVE_S = 2.0  # to leave the group, once everything is committed
_log = structlog.get_logger(__name__)


class Startable(Protocol):
    """What starts the parts of a worker: `stream.worker.wiring.Wiring`."""

    reload: asyncio.Event

    async def start(self, stack: AsyncExitStack) -> Parts:
        """Start everything; ``stack`` closes it."""
        ...


class Worker:
    """One worker process; SIGTERM and SIGINT stop it, SIGHUP reloads its artifact."""

    def __init__(self, wiring: Startable, drain_timeout_s: float) -> None:
        self._wiring = wiring
        self._drain_timeout_s = drain_timeout_s
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Serve until stopped, then finish and commit what is in flight.

        Raises LatelyError, and whatever Faust or aiokafka raised; then nothing is committed beyond
        what is safe.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._wiring.reload.set)
        async with AsyncExitStack() as stack:
            parts = await self._start(stack)
            if parts is not None:
                await self._serve(parts)

    async def _start(self, stack: AsyncExitStack) -> Parts | None:
        """Start everything; None if the worker is stopped before that is done."""
        starting = asyncio.create_task(self._wiring.start(stack))
        stopping = asyncio.create_task(self._stop.wait())
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if starting.done():
            return starting.result()
        starting.cancel()
        _log.info("stopped before the worker had started")
        logging.disable()  # what aiokafka logs about the connections cut now helps nobody
        return None

    async def _serve(self, parts: Parts) -> None:
        """Wait for the end, whatever causes it; drain if it is an orderly one."""
        stopping = asyncio.create_task(self._stop.wait())
        faust = asyncio.create_task(parts.member.wait_until_stopped())
        ends: list[asyncio.Future[Any]] = [stopping, faust, parts.failed, *parts.services]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        parts.health.set_failed("worker", "the worker stops")
        parts.member.stop_flow()
        error = _cause(parts, faust)
        if isinstance(error, DamagedState):
            parts.store.wipe(error.partition, "corrupt")
        if error is None:
            drained = await parts.member.drain(self._drain_timeout_s)
            _log.info("stopped", drained=drained)
        for task in (*parts.services, stopping, faust):
            task.cancel()
        if error is not None:
            raise error
        await parts.member.leave(LEAVE_S)


def _cause(parts: Parts, faust: "Task[BaseException | None]") -> BaseException | None:
    """The error that ended the worker; None if it was asked to stop."""
    for future in (parts.failed, *parts.services):
        if future.done() and not future.cancelled() and future.exception() is not None:
            return future.exception()
    if faust.done():
        return faust.result() or LatelyError("Faust stopped on its own; see the log above")
    return None
