"""The exit codes and last lines of a worker process."""

import asyncio
import gc
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from aiokafka.errors import GroupAuthorizationFailedError, KafkaConnectionError

from model.errors import ArtifactError
from stream.errors import BrokerError, LatelyError, SettingsError
from stream.settings import WorkerSettings
from stream.worker import process

SETTINGS = WorkerSettings.model_construct()


@pytest.fixture(autouse=True)
def _garbage_collection_as_it_was() -> Iterator[None]:
    threshold = gc.get_threshold()
    yield
    gc.set_threshold(*threshold)
    gc.unfreeze()


def exit_code(
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException | None,
    settings: WorkerSettings = SETTINGS,
) -> int:
    """Run a worker that raises this error, or ends without one; returns the exit code."""

    class Worker:
        def __init__(self, wiring: object, drain_timeout_s: float) -> None:
            assert (wiring, drain_timeout_s) == (("wired", settings), settings.drain_timeout_s)

        async def run(self) -> None:
            await asyncio.sleep(0)
            if error is not None:
                raise error

    def end(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(process, "Wiring", lambda settings: ("wired", settings))
    monkeypatch.setattr(process, "Worker", Worker)
    monkeypatch.setattr(os, "_exit", end)
    with pytest.raises(SystemExit) as caught:
        process.run(settings)
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_a_worker_collects_garbage_which_its_imports_did_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gc.disable()
    try:
        exit_code(monkeypatch, None)

        assert gc.isenabled()
        assert gc.get_freeze_count() > 0
    finally:
        gc.enable()


def test_stopped_worker_exits_with_0_and_prints_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(monkeypatch, None) == 0
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SettingsError("http: taken"), 2, "http: taken"),  # the operator can fix it
        (BrokerError("gone"), 1, "gone"),
        (LatelyError("of ours"), 1, "of ours"),
        (ArtifactError("the model is cut"), 1, "the model is cut"),
        (GroupAuthorizationFailedError("shop"), 1, "to the group shop; give our user the rights"),
    ],
)
def test_expected_error_is_one_line_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    code: int,
    line: str,
) -> None:
    assert exit_code(monkeypatch, error) == code
    said = capsys.readouterr().err
    assert said.startswith("lately: ") and said.count("\n") == 1
    assert line in said


def test_a_worker_that_logs_json_ends_with_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = WorkerSettings.model_construct(log_format="json")

    assert exit_code(monkeypatch, BrokerError("gone"), settings) == 1
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["level"]) == ("gone", "critical")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("user u1 wants i9"), "ValueError at "),  # its text may name a user
        (KafkaConnectionError("closed"), "closed"),
    ],
)
def test_defect_prints_its_location_and_no_user_data(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: Exception,
    words: str,
) -> None:
    assert exit_code(monkeypatch, error) == 1

    said: Any = capsys.readouterr().err.splitlines()[-1]
    assert words in said and "this is a defect" in said
    assert "u1" not in said
