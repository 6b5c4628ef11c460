"""The HTTP server of the worker: /livez and /readyz for probes, /metrics for Prometheus."""

import time
from collections.abc import Callable

from aiohttp import web

from stream.addresses import Address
from stream.errors import SettingsError
from stream.health import Health
from stream.metrics import Metrics


class HealthServer:
    """Answers probes and scrapes at one HTTP address; every other path is 404."""

    def __init__(
        self,
        address: Address,
        health: Health,
        metrics: Metrics,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._address = address
        self._health = health
        self._metrics = metrics
        self._clock = clock
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where it answers, once started."""
        return f"http://{self._address._replace(port=self.port)}"

    @property
    def port(self) -> int:
        """The port in use once started: the given one or, for 0, the one the system chose."""
        assert self._runner is not None, "the server is not started"
        return int(self._runner.addresses[0][1])

    async def start(self) -> None:
        """Listen. Raises SettingsError when the address cannot be bound."""
        app = web.Application()
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._render)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            await web.TCPSite(runner, *self._address).start()
        except BaseException as error:
            await runner.cleanup()
            if not isinstance(error, OSError):
                raise
            raise SettingsError(
                f"http: cannot listen on {self._address} ({error.strerror}); "
                "set --http or LATELY_HTTP to a free address"
            ) from error
        self._runner = runner

    async def stop(self) -> None:
        """Stop listening, and cut open connections."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _livez(self, _: web.Request) -> web.Response:
        live, reason = self._health.live(self._clock())
        return web.json_response({"live": live, "reason": reason}, status=200 if live else 503)

    async def _readyz(self, _: web.Request) -> web.Response:
        ready, reasons = self._health.ready()
        return web.json_response({"ready": ready, "reasons": reasons}, status=200 if ready else 503)

    async def _render(self, _: web.Request) -> web.Response:
        self._metrics.ready.set(self._health.ready()[0])
        return web.Response(
            body=self._metrics.render(),
            headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"},
        )
