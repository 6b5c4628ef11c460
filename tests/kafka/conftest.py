"""What the tests on a real broker share: the broker, the model, the loads and the stages."""

import os
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest

from model.serving import load_scorer
from tests.kafka.artifact import find_artifact, items_of
from tests.kafka.broker import Broker, Unavailable
from tests.kafka.client import Client
from tests.kafka.load import Load
from tests.kafka.message import Message
from tests.kafka.schedule import group_of
from tests.kafka.secure_broker import SecureBroker
from tests.kafka.stage import Stage
from tests.kafka.worker import Settings
from tests.oracle.answers import Answers

OpenStage = Callable[..., Stage]
MakeLoad = Callable[..., list[Message]]


BOOTSTRAP = "LATELY_TEST_BOOTSTRAP"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Start one broker for all processes of ``pytest -n``, from the process that starts them."""
    if BOOTSTRAP in os.environ:
        return
    folder = Path(mkdtemp(prefix="lately-kafka-"))
    config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))
    broker = Broker(folder)
    config.add_cleanup(broker.stop)
    with suppress(Unavailable):  # the fixture then says why
        broker.start()
        os.environ[BOOTSTRAP] = broker.bootstrap  # the processes inherit it


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal out the groups of tests to whichever process is free."""
    from xdist.scheduler import LoadScopeScheduling

    scheduler = LoadScopeScheduling(config, log)
    scheduler._split_scope = group_of
    return scheduler


@pytest.fixture(scope="session")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Kafka to test on: the one of LATELY_TEST_BOOTSTRAP, or one of our own."""
    if given := os.environ.get(BOOTSTRAP):
        yield given
        return
    broker = Broker(tmp_path_factory.mktemp("kafka"))
    try:
        broker.start()
    except Unavailable as reason:
        pytest.skip(f"no Kafka: {reason}")
    try:
        yield broker.bootstrap
    finally:
        broker.stop()


@pytest.fixture(scope="session")
def secure_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureBroker]:
    """A Kafka of our own that lets nobody in who does not prove who they are."""
    try:
        broker = SecureBroker(tmp_path_factory.mktemp("secure"))
        broker.start()
    except Unavailable as reason:
        pytest.skip(f"no secure Kafka of our own: {reason}")
    yield broker
    broker.stop()


@pytest.fixture(scope="session")
def secure_client(secure_broker: SecureBroker) -> Iterator[Client]:
    """A connection to its open listener, as a superuser."""
    client = Client(secure_broker.bootstrap)
    yield client
    client.close()


@pytest.fixture(scope="session")
def client(bootstrap: str) -> Iterator[Client]:
    """A connection to that Kafka."""
    client = Client(bootstrap)
    yield client
    client.close()


@pytest.fixture(scope="session")
def artifact() -> Path:
    """A small model."""
    return find_artifact()


@pytest.fixture(scope="session")
def answers(artifact: Path) -> Answers:
    """What that model says, remembered over all runs."""
    return Answers(load_scorer(artifact))


@pytest.fixture(scope="session")
def load(artifact: Path) -> MakeLoad:
    """Loads by seed, each made once."""
    items = items_of(artifact)

    @cache
    def make(seed: int, n_events: int = 20_000) -> list[Message]:
        return Load(seed, items, n_events).messages()

    return make


@pytest.fixture
def open_stage(
    client: Client, artifact: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[OpenStage]:
    """Opens stages; closes them, workers and all, when the test is over."""
    stages: list[Stage] = []

    def open_one(settings: Settings | None = None, partitions: int = 4) -> Stage:
        test = re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
        name = f"{test[:60]}-{uuid.uuid4().hex[:6]}"
        stage = Stage(client, name, tmp_path, artifact, settings or {}, partitions)
        stages.append(stage)
        stage.open()
        return stage

    yield open_one
    for stage in stages:
        stage.close()
