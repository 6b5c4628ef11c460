"""Whether the worker is alive and ready, and the addresses that tell: /livez, /readyz, /metrics.

Alive means that the event loop turns. A task beats every half second; when the loop is blocked,
neither the beat nor the answer comes, and the probe's own time-out is the verdict. When the loop
turns but the task is gone, the heartbeat grows old and /livez says so. The broker is no part of it:
restarting a worker mends no broker.

Ready means that every condition holds; each that does not gives its reason.
"""

import time
from collections.abc import Callable
from typing import Literal, get_args

from aiohttp import web

from stream.errors import SettingsError
from stream.metrics import Metrics

Condition = Literal["worker", "broker", "partitions", "state", "model"]

MAX_SILENCE_S = 10.0
_NOT_YET: dict[Condition, str] = {
    "worker": "the worker is starting",
    "broker": "no broker has answered yet",
    "partitions": "no partitions are assigned yet",
    "state": "the state is not recovered yet",
    "model": "the model is not warm yet",
}


class Health:
    """What is well and what is not; holds no clock."""

    def __init__(self, now_s: float, max_silence_s: float = MAX_SILENCE_S) -> None:
        self._last_beat_s = now_s
        self._max_silence_s = max_silence_s
        self._reasons: dict[Condition, str] = dict(_NOT_YET)

    def beat(self, now_s: float) -> None:
        """Say that the event loop turns."""
        self._last_beat_s = now_s

    def holds(self, condition: Condition) -> None:
        """Say that a condition is met."""
        self._reasons.pop(condition, None)

    def fails(self, condition: Condition, reason: str) -> None:
        """Say that a condition is not met, and why, in words for a person."""
        self._reasons[condition] = reason

    def live(self, now_s: float) -> tuple[bool, str]:
        """Whether the heartbeat is recent enough, and what was seen."""
        silence_s = now_s - self._last_beat_s
        reason = f"last heartbeat of the event loop {silence_s:.1f} s ago"
        return silence_s <= self._max_silence_s, reason

    def ready(self) -> tuple[bool, dict[Condition, str]]:
        """Whether every condition holds, and a reason for each that does not."""
        reasons = {
            name: self._reasons[name] for name in get_args(Condition) if name in self._reasons
        }
        return not reasons, reasons


class HealthServer:
    """Answers probes and scrapes on one HTTP address, and nothing else."""

    def __init__(
        self,
        host: str,
        port: int,
        health: Health,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._host = host
        self._port = port
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._runner: web.AppRunner | None = None

    @property
    def port(self) -> int:
        """The port in use: the one asked for or, for 0, the one the system gave; after start."""
        assert self._runner is not None, "the server is not started"
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen. Raises SettingsError when the address cannot be had."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._render)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, self._host.strip("[]"), self._port).start()
        except OSError as error:
            await runner.cleanup()
            raise SettingsError(
                f"http: cannot listen on {self._host}:{self._port} ({error.strerror}); "
                "give a free address by --http or LATELY_HTTP"
            ) from error
        self._runner = runner

    async def stop(self) -> None:
        """Close the address; open connections are cut."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _livez(self, request: web.Request) -> web.Response:
        live, reason = self._health.live(self._clock())
        return web.json_response({"live": live, "reason": reason}, status=200 if live else 503)

    async def _readyz(self, request: web.Request) -> web.Response:
        ready, reasons = self._health.ready()
        return web.json_response({"ready": ready, "reasons": reasons}, status=200 if ready else 503)

    async def _render(self, request: web.Request) -> web.Response:
        self._metrics.ready.set(self._health.ready()[0])
        return web.Response(
            body=self._metrics.render(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )
