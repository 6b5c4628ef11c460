"""Liveness, readiness and metrics are served over HTTP, and nothing else is."""

import asyncio
from ipaddress import ip_address
from typing import get_args

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from stream.addresses import Address
from stream.errors import SettingsError
from stream.health import Condition, Health
from stream.metrics import Metrics
from stream.settings import WorkerSettings
from stream.worker.http import HealthServer


def ready_health() -> Health:
    health = Health(now_s=0.0)
    for condition in get_args(Condition):
        health.set_ok(condition)
    return health


async def ask(path: str, health: Health, now_s: float = 0.0) -> tuple[int, str]:
    metrics = Metrics(CollectorRegistry())
    server = HealthServer(Address("127.0.0.1", 0), health, metrics, clock=lambda: now_s)
    await server.start()
    try:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{server.port}{path}") as response,
        ):
            return response.status, await response.text()
    finally:
        await server.stop()


def test_readyz_is_503_with_reasons_until_all_is_well() -> None:
    status, body = asyncio.run(ask("/readyz", Health(now_s=0.0)))
    assert status == 503
    assert '"model": "the model is not warm yet"' in body

    status, body = asyncio.run(ask("/readyz", ready_health()))
    assert (status, body) == (200, '{"ready": true, "reasons": {}}')


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("::1", "[::1]")])
def test_the_url_has_the_port_that_the_system_chose(host: str, shown: str) -> None:
    async def scenario() -> tuple[str, int]:
        server = HealthServer(Address(host, 0), Health(0.0), Metrics(CollectorRegistry()))
        await server.start()
        try:
            return server.url, server.port
        finally:
            await server.stop()

    url, port = asyncio.run(scenario())
    assert url == f"http://{shown}:{port}"
    assert port > 0


def test_livez_is_503_when_the_heartbeat_is_old() -> None:
    assert asyncio.run(ask("/livez", Health(now_s=0.0), now_s=1.0))[0] == 200
    assert asyncio.run(ask("/livez", Health(now_s=0.0), now_s=11.0))[0] == 503


def test_metrics_say_ready_when_readyz_does() -> None:
    assert "lately_ready 0.0" in asyncio.run(ask("/metrics", Health(now_s=0.0)))[1]
    assert "lately_ready 1.0" in asyncio.run(ask("/metrics", ready_health()))[1]


@pytest.mark.parametrize("path", ["/", "/state", "/debug", "/metrics/"])
def test_nothing_else_is_served(path: str) -> None:
    assert asyncio.run(ask(path, ready_health()))[0] == 404


def test_unless_told_otherwise_only_this_machine_is_answered() -> None:
    address = Address.parse(WorkerSettings.model_fields["http"].default)

    assert ip_address(address.host).is_loopback


def test_a_taken_port_is_a_setting_to_change() -> None:
    async def start_twice() -> None:
        health, metrics = ready_health(), Metrics(CollectorRegistry())
        first = HealthServer(Address("127.0.0.1", 0), health, metrics)
        await first.start()
        try:
            await HealthServer(Address("127.0.0.1", first.port), health, metrics).start()
        finally:
            await first.stop()

    with pytest.raises(SettingsError, match=r"http: cannot listen on .* --http or LATELY_HTTP"):
        asyncio.run(start_twice())
