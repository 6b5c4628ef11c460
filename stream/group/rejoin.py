"""Retaking: our partitions are assigned anew when another's records stand among ours."""

import time
from collections import deque
from collections.abc import Callable

import structlog

from stream.group.faust_consumer import Lane
from stream.health import Health
from stream.pipeline.pipeline import Pipeline

AT_MOST = 5  # times
WITHIN_S = 300.0
_log = structlog.get_logger(__name__)


class Retaking:
    """Mends what a worker that was cut off wrote too late, as an assignment always does.

    It does so once, when the network is back. Who writes again and again is another group, and
    that we cannot mend. ``clock`` is monotonic and in seconds.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        lane: Lane,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pipeline = pipeline
        self._lane = lane
        self._health = health
        self._clock = clock

    async def run(self) -> None:
        """Take partitions anew whenever they were let go; raises FencedError if that is no help."""
        recent_s: deque[float] = deque(maxlen=AT_MOST)
        while True:
            error = await self._pipeline.fences.get()
            self._health.set_failed("state", "somebody else wrote into our partitions")
            now_s = self._clock()
            if len(recent_s) == AT_MOST and now_s - recent_s[0] < WITHIN_S:
                raise error
            recent_s.append(now_s)
            _log.warning("partitions are taken anew", reason=str(error))
            await self._lane.rejoin()
