"""Whether the demo's worker is ready: by its own word, and through no proxy."""

import asyncio

import pytest
from aiohttp import ClientSession, web

from stream.addresses import Address
from stream.demo.demo import is_ready
from stream.demo.embedded_broker import HOST, free_port


async def ask(status: int | None) -> bool:
    """Ask a worker that answers with this status; None: nobody is there."""
    address = Address(HOST, free_port())

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status or 0)

    app = web.Application()
    app.router.add_get("/readyz", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        if status is not None:
            await web.TCPSite(runner, *address).start()
        async with ClientSession() as session:
            return await is_ready(session, address)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(("status", "ready"), [(200, True), (503, False), (None, False)])
def test_a_worker_is_ready_once_it_answers_200(status: int | None, ready: bool) -> None:
    assert asyncio.run(ask(status)) is ready


def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert asyncio.run(ask(200))


def test_another_server_that_closes_at_once_is_not_a_worker_that_is_ready() -> None:
    async def scenario() -> bool:
        server = await asyncio.start_server(lambda _, writer: writer.close(), HOST, 0)
        address = Address(*server.sockets[0].getsockname()[:2])
        async with server, ClientSession() as session:
            return await is_ready(session, address)

    assert not asyncio.run(scenario())
