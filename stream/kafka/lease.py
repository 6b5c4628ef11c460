"""The lease: how long our partitions are certainly ours, and the gate on produce requests."""

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aiokafka import AIOKafkaProducer

POLL_S = 0.02  # how often to check whether an expired lease is renewed


class Lease:
    """Held for one session timeout after the last heartbeat that the coordinator answered.

    It is counted from when that heartbeat was sent. The coordinator counts from when it arrived,
    which is later, so nobody else can own our partitions while the lease is held. Once it has
    expired somebody may, and what we write could overwrite what they wrote. ``clock`` is monotonic
    and in seconds.
    """

    def __init__(self, session_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._session_s = session_s
        self._clock = clock
        self._ends_s = float("-inf")

    def renew(self, sent_s: float) -> None:
        """Extend the lease: a heartbeat sent at this moment was answered. Thread-safe."""
        self._ends_s = max(self._ends_s, sent_s + self._session_s)

    def is_held(self) -> bool:
        """Whether the partitions are certainly ours."""
        return self._clock() < self._ends_s


def gate_requests(producer: "AIOKafkaProducer", is_held: Callable[[], bool]) -> None:
    """Hold back every produce request of a started producer while the lease is not held.

    A process that was suspended may resume with a request half built, after another worker has
    taken over. This wraps a private method of aiokafka; tests/stream/kafka/test_lease.py fails when
    it changes.
    """
    sender: Any = producer._sender
    send = sender._send_produce_req

    async def send_when_held(*arguments: Any) -> None:
        while not is_held():
            await asyncio.sleep(POLL_S)
        await send(*arguments)

    sender._send_produce_req = send_when_held
