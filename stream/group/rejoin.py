"""The rejoiner: gets partitions reassigned after another writer used our topics."""

import time
from asyncio import Queue
from collections import deque
from collections.abc import Callable

import structlog

from stream.errors import FencedError, OtherGroupError
from stream.group.faust_consumer import FaustConsumer
from stream.health import Health

MAX_REJOINS = 5  # within WINDOW_S
WINDOW_S = 300.0
_log = structlog.get_logger(__name__)


class Rejoiner:
    """Asks the group for the partitions again whenever the handler was fenced, see ``fenced``.

    An assignment repairs what a fenced worker wrote too late. Such a worker does that once, when
    its network is back. A writer that does it repeatedly is another group, and no rejoin helps.
    ``clock`` is monotonic and in seconds.
    """

    def __init__(
        self,
        fenced: "Queue[FencedError]",
        consumer: FaustConsumer,
        health: Health,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._fenced = fenced
        self._consumer = consumer
        self._health = health
        self._clock = clock

    async def run(self) -> None:
        """Rejoin after each foreign write; raises FencedError when that happens too often."""
        recent_s: deque[float] = deque(maxlen=MAX_REJOINS)
        while True:
            error = await self._fenced.get()
            self._health.set_failed("state", "another writer appended to our partitions")
            if isinstance(error, OtherGroupError):  # that group has to go, and not we
                await self._rejoin(error)
                continue
            now_s = self._clock()
            if len(recent_s) == MAX_REJOINS and now_s - recent_s[0] < WINDOW_S:
                raise error
            recent_s.append(now_s)
            await self._rejoin(error)

    async def _rejoin(self, error: FencedError) -> None:
        _log.warning("rejoining the group after a foreign write", reason=str(error))
        await self._consumer.rejoin()
