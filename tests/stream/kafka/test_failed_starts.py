"""A client that cannot start leaves nothing open, though its error, and the frames, live on."""

import asyncio
import gc
import socket
import warnings
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from stream.kafka.command_clients import open_producer, open_reader
from stream.kafka.fetching.log_reader import LogReader
from stream.kafka.lease import Lease
from stream.kafka.producer import start_producer
from stream.kafka.protocol import api_versions
from stream.kafka.security import client_options
from stream.settings import WorkerSettings
from stream.storage.recovery import Recovery
from stream.storage.store import StateStore
from stream.worker.score_repair import ScoreRepair
from tests.stream.world import TOPICS


async def recover(settings: WorkerSettings) -> None:
    store = StateStore(settings.state_dir, lambda _: None)
    try:
        options = client_options(settings)
        await Recovery(store, "changelog", options, lambda _: None, None).recover([0])
    finally:
        store.close_all()


async def repair_scores(settings: WorkerSettings) -> None:
    none: Any = None
    await ScoreRepair(TOPICS, client_options(settings), none, none, none, none).read({0: None})


async def read_logs(settings: WorkerSettings) -> None:
    async with LogReader(settings):
        pass


async def produce(settings: WorkerSettings) -> None:
    await start_producer(settings, Lease(10.0), 1_000)


async def read_by_command(settings: WorkerSettings) -> None:
    async with open_reader(settings, "topic", "--flag"):
        pass


async def produce_by_command(settings: WorkerSettings) -> None:
    async with open_producer(settings):
        pass


async def ask_versions(settings: WorkerSettings) -> None:
    await api_versions(settings)


CLIENTS = [
    recover,
    repair_scores,
    read_logs,
    produce,
    read_by_command,
    produce_by_command,
    ask_versions,
]


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.__name__)
def test_a_client_without_a_broker_is_closed(
    client: Callable[[WorkerSettings], Awaitable[None]], tmp_path: Path
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        settings = WorkerSettings.load(
            bootstrap=f"127.0.0.1:{nobody.getsockname()[1]}",
            artifact=tmp_path,
            state_dir=tmp_path / "state",
        )
    complaints: list[str] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.append(context["message"]))
        # Not `as`: aiokafka complains once nothing holds the client.
        with pytest.raises(Exception, match=r"."):
            await client(settings)
        gc.collect()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        asyncio.run(run())
        gc.collect()

    assert complaints == []
