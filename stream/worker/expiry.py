"""Expiry: deletes users whose last action is older than the time to live, a few per second."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

import structlog

from stream.pipeline.pipeline import Pipeline
from stream.storage.store import StateStore
from stream.user_state import is_forgotten, last_seen_ms_of

USERS_PER_S = 1_000  # examined, and at most as many deleted
STEP_USERS = 100
MAX_PAUSE_S = 600.0  # between two rounds; a shorter time to live has shorter pauses
_ROUNDS_PER_TTL = 10
_log = structlog.get_logger(__name__)


class EventClock:
    """The event time of one partition: that of its newest event, and what went by since we saw it.

    Never ahead of the clock. So an old log that is replayed is judged by its own time, one event
    from the far future expires nobody, and a topic without events still gets older. What went by
    is ``monotonic_ms``: a clock that is set ahead by mistake must not delete every user.
    """

    def __init__(self, now_ms: Callable[[], int], monotonic_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._monotonic_ms = monotonic_ms
        self._newest_ms = -1
        self._seen_ms = 0  # monotonic

    def observe(self, ts_ms: int) -> None:
        """There is an event of this time."""
        if ts_ms > self._newest_ms:
            self._newest_ms, self._seen_ms = ts_ms, self._monotonic_ms()

    def now_ms(self) -> int | None:
        """The time; None before the first event."""
        if self._newest_ms < 0:
            return None
        return min(self._now_ms(), self._newest_ms + self._monotonic_ms() - self._seen_ms)


class ExpirySweep:
    """Reads the users on disk in rounds, and hands those to the pipeline who have expired.

    The pipeline checks each of them again, by the state in memory, and deletes them as it deletes
    forget markers: fenced, in the order of the batches. ``now_ms`` is the wall clock,
    ``monotonic_ms`` one that nobody sets.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        store: StateStore,
        ttl_ms: int,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic_ms: Callable[[], int] = lambda: time.monotonic_ns() // 1_000_000,
    ) -> None:
        self._pipeline = pipeline
        self._store = store
        self._ttl_ms = ttl_ms
        self._now_ms = now_ms
        self._monotonic_ms = monotonic_ms
        self._sleep = sleep
        self._clocks: dict[int, EventClock] = {}
        self._expired = 0  # of this round

    async def run(self) -> None:
        """One round after the other, until cancelled; raises StateError for a damaged disk."""
        pause_s = min(MAX_PAUSE_S, self._ttl_ms / 1000 / _ROUNDS_PER_TTL)
        while True:
            await self._sleep(pause_s)
            await self.sweep()

    async def sweep(self) -> None:
        """One round: every partition that is ours, user by user."""
        partitions, self._expired = self._pipeline.partitions, 0
        self._clocks = {number: self._clock(number) for number in partitions}
        for number in sorted(partitions):
            after = b""
            while number in self._pipeline.partitions:
                if not self._pipeline.is_expiring(number):  # else the broker is slower than we are
                    users = await asyncio.to_thread(
                        self._store.users_after, number, after, STEP_USERS
                    )
                    if not users:
                        break
                    after = users[-1][0]
                    self._expire(number, users)
                await self._sleep(STEP_USERS / USERS_PER_S)
        if self._expired:
            _log.info(
                "users expired: their last action is older than --ttl-s, so they are deleted",
                users=self._expired,
                ttl_s=self._ttl_ms // 1000,
            )

    def _clock(self, number: int) -> EventClock:
        return self._clocks.get(number) or EventClock(self._now_ms, self._monotonic_ms)

    def _expire(self, number: int, users: Sequence[tuple[bytes, bytes]]) -> None:
        clock = self._clocks[number]
        seen_ms = {key: last_seen_ms_of(value) for key, value in users if not is_forgotten(value)}
        clock.observe(max(seen_ms.values(), default=-1))
        now_ms = clock.now_ms()
        if now_ms is not None:
            before_ms = now_ms - self._ttl_ms
            expired = [key for key, at_ms in seen_ms.items() if at_ms < before_ms]
            self._expired += len(expired)
            self._pipeline.expire(number, expired, before_ms)
