"""An artifact that does not load in time is refused, and the model in service stays."""

import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from stream.metrics import Metrics
from stream.worker.models import model_reload
from stream.worker.models.model_reload import Model, Reloader
from tests.stream.world import on_a_loop


@on_a_loop
async def test_an_artifact_that_does_not_load_in_time_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_reload, "LOAD_S", 0.0)
    hanging = threading.Event()
    refused: list[str] = []

    def load() -> Model:
        hanging.wait()
        raise AssertionError("nobody waits for this any more")

    metrics = Metrics(CollectorRegistry())
    reloader = Reloader(tmp_path, load, lambda _: pytest.fail("it must not serve"), metrics)
    monkeypatch.setattr(reloader, "_refuse", refused.append)
    try:
        await reloader.reload()
    finally:
        hanging.set()

    assert len(refused) == 1
    assert "is not loaded within 0 s" in refused[0]
