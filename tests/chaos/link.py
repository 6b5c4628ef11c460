"""The link: a TCP proxy between a worker and the broker that can be slow, silent or cut."""

import asyncio
import socket
import struct
import threading
from contextlib import suppress

from tests.kafka.broker import free_port

CHUNK_BYTES = 1 << 16
_CLOSE_BY_RST = struct.pack("ii", 1, 0)  # linger for no time: what is unsent is dropped


class Link:
    """Carries bytes from a port of its own to the broker's, on an event loop in a thread.

    ``latency_s`` delays each chunk; a stalled link takes no more bytes and gives none, without a
    word, as a partitioned network does; half-open, the worker's bytes still go out and no answer
    comes back.
    """

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self._target_port = target_port
        self._latency_s = 0.0
        self._writers: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._open = {"out": asyncio.Event(), "back": asyncio.Event()}
        for gate in self._open.values():
            gate.set()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    def slow(self, latency_s: float) -> None:
        """Delay everything by so much each way; 0 heals."""
        self._latency_s = latency_s

    def stall(self, *ways: str) -> None:
        """Let nothing pass ``out`` to the broker or ``back`` from it; by default neither way."""
        for way in ways or ("out", "back"):
            self._loop.call_soon_threadsafe(self._open[way].clear)

    def heal(self) -> None:
        """Carry everything again, what was held up first."""
        self._latency_s = 0.0
        for gate in self._open.values():
            self._loop.call_soon_threadsafe(gate.set)

    def reset(self) -> None:
        """Cut every connection with an RST, as a crashed host does."""
        self._loop.call_soon_threadsafe(self._abort_all)

    def _abort_all(self) -> None:
        for writer in list(self._writers):
            peer = writer.get_extra_info("socket")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _CLOSE_BY_RST)
            writer.transport.abort()

    def close(self) -> None:
        """Carry nothing any more."""
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._abort_all)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers.add(far_writer)
        ways = (self._pump("out", reader, far_writer), self._pump("back", far_reader, writer))
        await asyncio.gather(*ways)

    async def _pump(
        self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self._latency_s:
                    await asyncio.sleep(self._latency_s)
                await self._open[way].wait()
                writer.write(data)
                await writer.drain()
        with suppress(OSError, RuntimeError):
            writer.close()
        self._writers.discard(writer)
