"""Faust's private names are still what the consumer adapter expects.

When one of these fails, Faust has changed what stream.group.faust_consumer and faust_driver use:
review them before the pin moves.
"""

import importlib
import importlib.metadata
import inspect
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faust.app.base import App
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from faust.transport import consumer as faust_consumer
from faust.transport.conductor import Conductor
from faust.transport.drivers import aiokafka as driver

ROOT = Path(__file__).parents[3]


def test_faust_is_the_version_that_is_pinned() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = [line for line in project["dependencies"] if line.startswith("faust-streaming")]

    assert pins == [f"faust-streaming=={importlib.metadata.version('faust-streaming')}"]


@pytest.mark.parametrize("module", ["faust._cython.streams", "faust.transport._cython.conductor"])
def test_the_compiled_parts_load_where_the_wheel_has_them(module: str) -> None:
    compiled = Path(*module.split(".")).as_posix()
    files = importlib.metadata.files("faust-streaming") or []
    if not any(str(file).startswith(f"{compiled}.cpython") for file in files):
        pytest.skip("a build without compiled parts")

    assert (importlib.import_module(module).__file__ or "").endswith(".so")


def parameters(function: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(function).parameters)


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (driver.Consumer._drain_messages, ["self", "fetcher"]),
        (driver.Consumer._wait_next_records, ["self", "timeout"]),
        (driver.Consumer.perform_seek, ["self"]),
        (driver.Consumer.verify_all_partitions_active, ["self"]),
        (driver.Consumer.on_partitions_assigned, ["self", "assigned", "generation_id"]),
        (driver.Consumer.highwater, ["self", "tp"]),
        (driver.Consumer.assignment, ["self"]),
        (driver.Consumer.stop_flow, ["self"]),
        (driver.Transport.__init__, ["self", "args", "kwargs"]),
        (driver.AIOKafkaConsumerThread._ensure_consumer, ["self"]),
        (driver.AIOKafkaConsumerThread.call_thread, ["self", "fun", "args", "kwargs"]),
        (Recovery.__init__, ["self", "app", "tables", "kwargs"]),
        (Recovery._seek_offsets, ["self", "consumer", "tps", "offsets", "title"]),
        (Recovery._wait, ["self", "coro", "timeout"]),
        (Recovery.need_recovery, ["self"]),
    ],
    ids=lambda value: value.__qualname__ if callable(value) else "",
)
def test_a_method_that_the_adapter_calls_or_replaces_has_its_parameters(
    function: Callable[..., Any], expected: list[str]
) -> None:
    assert parameters(function) == expected


@pytest.mark.parametrize(
    "function",
    [
        *(driver.Consumer._drain_messages, driver.Consumer._wait_next_records),
        *(driver.Consumer.perform_seek, driver.Consumer.on_partitions_assigned),
        *(driver.Consumer.verify_all_partitions_active, Recovery._seek_offsets, Recovery._wait),
        *(driver.AIOKafkaConsumerThread.call_thread, driver.AIOKafkaConsumerThread.on_start),
    ],
    ids=lambda function: function.__qualname__,
)
def test_what_is_awaited_is_a_coroutine(function: Callable[..., Any]) -> None:
    assert inspect.iscoroutinefunction(function)


def source(function: Callable[..., Any]) -> str:
    return inspect.getsource(getattr(function, "fun", function))  # of a service's task too


def test_the_fetcher_leaves_the_reading_to_the_consumer() -> None:
    assert "consumer._drain_messages(self)" in source(faust_consumer.Fetcher._fetcher)


def test_a_recovery_runs_seek_offsets_through_wait_before_it_asks_whether_it_needs_one() -> None:
    text = source(Recovery._restart_recovery)

    assert text.index("_seek_offsets") < text.index("self.need_recovery()")


def test_the_recovery_service_is_made_only_when_there_is_none() -> None:
    recovery: Any = inspect.getattr_static(TableManager, "recovery")
    assert "if self._recovery is None" in source(recovery.fget)


@pytest.mark.parametrize(
    "name", ["tables", "topics", "on_partitions_revoked", "crash_reason", "crashed", "should_stop"]
)
def test_the_app_has_what_the_adapter_uses(name: str) -> None:
    assert hasattr(App, name)


def test_the_app_makes_its_consumer_with_the_transport_that_it_was_given() -> None:
    assert "self.transport.create_consumer" in source(App._new_consumer)
    assert App._consumer is None


def test_the_start_of_the_table_manager_is_ours_but_for_its_second_of_waiting() -> None:
    lines = [line.strip() for line in source(TableManager.on_start).splitlines()]

    assert lines[2:] == [
        "await self.sleep(1.0)",
        "if not self.should_stop:",
        "await self._update_channels()",
        "await self.recovery.start()",
    ]
    assert "app.tables.wait_until_tables_registered()" in source(Conductor._subscriber)
    assert "self._tables_registered.set()" in source(TableManager._update_channels)
