"""The lease: for how long our partitions are ours for certain, and no request leaves without it."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

LOOK_EVERY_S = 0.02  # whether it is held again


class Lease:
    """Held for one session time-out from when the last heartbeat that was answered was sent.

    The broker counts the session from when the heartbeat came, which is later, so nobody else can
    have our partitions while we hold it. Without it someone may, and what we write could win over
    what they have written since. ``clock`` is monotonic and in seconds.
    """

    def __init__(self, session_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._session_s = session_s
        self._clock = clock
        self._ends_s = float("-inf")

    def renew(self, sent_s: float) -> None:
        """A heartbeat that was sent at this moment was answered; from whichever thread."""
        self._ends_s = max(self._ends_s, sent_s + self._session_s)

    def held(self) -> bool:
        """Whether the partitions are still ours for certain."""
        return self._clock() < self._ends_s


def hold_back(producer: "AIOKafkaProducer", held: Callable[[], bool]) -> None:
    """Let no request leave a started producer while the lease is not held.

    A process that stood still may wake with a request half made. The private method of aiokafka
    that makes them is watched by tests/stream/kafka/test_lease.py.
    """
    sender: Any = producer._sender
    send = sender._send_produce_req

    async def send_if_ours(*arguments: Any) -> None:
        while not held():
            await asyncio.sleep(LOOK_EVERY_S)
        await send(*arguments)

    sender._send_produce_req = send_if_ours
