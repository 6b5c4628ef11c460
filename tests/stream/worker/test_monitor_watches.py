"""The monitor's heartbeat, gauges, broker watchdog and heap trimming."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry

from stream.group.faust_consumer import FaustConsumer
from stream.health import Health
from stream.kafka.write_fence import TopicPartition
from stream.metrics import Metrics
from stream.settings import WorkerSettings
from stream.storage.disk_usage import measure
from stream.worker import monitor as module
from stream.worker.monitor import Monitor
from stream.worker.wiring import Wiring
from tests.stream.fakes import NOW_MS, click, settle
from tests.stream.world import LATER, LIMITS, on_a_loop, world


class Rounds:
    """Replaces each pause of a watchdog by one turn of the loop, and records its length."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pauses_s: list[float] = []
        sleep = asyncio.sleep

        async def at_once(pause_s: float) -> None:
            self.pauses_s.append(pause_s)
            await sleep(0)

        stand_in = SimpleNamespace(**vars(asyncio) | {"sleep": at_once})
        monkeypatch.setattr(module, "asyncio", stand_in)

    async def run(self, watch: Coroutine[Any, Any, None], until: Callable[[], bool]) -> None:
        """Run a watchdog until the condition holds, then cancel it."""
        task = asyncio.create_task(watch)
        async with asyncio.timeout(10):
            while not until():
                assert not task.done(), task
                await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class Partitions(FaustConsumer):
    """A consumer with these committed and end offsets."""

    def __init__(self, committed: dict[int, int], ends: dict[int, int]) -> None:
        self._committed_offsets, self._end_offsets = committed, ends
        self.asked = 0

    def assigned_offsets(self) -> dict[int, int]:
        return self._committed_offsets

    def ends(self) -> dict[int, int]:
        return self._end_offsets

    async def fetch_ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Ten more each time that anybody asks, as on a topic that is written to."""
        self.asked += 1
        return {(t, n): self._end_offsets[n] + 10 * self.asked for t, n in partitions}


def gauges(metrics: Metrics) -> dict[str, float]:
    lines = (line.rpartition(" ") for line in metrics.render().decode().splitlines())
    return {name: float(value) for name, _, value in lines if not name.startswith("#")}


def by_partition(metrics: Metrics, name: str) -> dict[int, float]:
    """The series of a gauge."""
    found = gauges(metrics).items()
    return {
        int(series.split('"')[1]): value
        for series, value in found
        if series.startswith(f"{name}{{")
    }


def monitored(metrics: Metrics | None = None) -> tuple[Monitor, Health]:
    health = Health(0.0)
    return Monitor(health, metrics or Metrics(CollectorRegistry())), health


def test_heartbeat_is_recorded_repeatedly_with_the_current_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        rounds = Rounds(monkeypatch)
        monitor, health = monitored()
        beats = iter([50.0, 60.0])
        monkeypatch.setattr(
            module, "time", SimpleNamespace(monotonic=lambda: next(beats, 70.0), time=time.time)
        )
        await rounds.run(monitor.beat(), lambda: len(rounds.pauses_s) == 3)

        assert health.live(70.0)[1].endswith("0.0 s ago")
        assert not health.live(70.0 + 10.1)[0]

    asyncio.run(scenario())


def test_lag_counts_from_the_offset_that_could_be_committed_now(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            rounds = Rounds(monkeypatch)
            monitor, health = monitored(w.metrics)
            health.set_ok("broker")
            await w.feed(click("u1", 0), click("u2", 1))
            await w.acknowledge_all()
            consumer = Partitions(committed={1: 4}, ends={0: 5, 1: 9, 7: 3})
            watch = monitor.update_gauges(w.pipeline, consumer, lambda: {0: 1, 1: 4})
            await rounds.run(watch, lambda: len(rounds.pauses_s) == 2)

            # The first two of partition 0 are on disk, and one is committed; of partition 7 only
            # the end is known, and so no lag.
            assert by_partition(w.metrics, "lately_consumer_lag_records") == {0: 5 - 2, 1: 9 - 4}
            assert by_partition(w.metrics, "lately_committed_lag_records") == {0: 5 - 1, 1: 9 - 4}

    scenario()


def test_lag_grows_while_partitions_are_paused_and_nothing_is_fetched(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @on_a_loop
    async def scenario() -> None:
        limits = LIMITS._replace(pending_users=1)
        async with world(tmp_path, policy=LATER, limits=limits) as w:
            rounds = Rounds(monkeypatch)
            monitor, health = monitored(w.metrics)
            health.set_ok("broker")
            consumer = Partitions(committed={0: 0, 1: 0}, ends={0: 5, 1: 0})

            async def lag() -> dict[int, float]:
                for watch in (
                    monitor.follow_ends(w.pipeline, consumer, "events"),
                    monitor.update_gauges(w.pipeline, consumer, dict),
                ):
                    before = len(rounds.pauses_s)
                    await rounds.run(watch, lambda: len(rounds.pauses_s) > before)  # noqa: B023
                return by_partition(w.metrics, "lately_consumer_lag_records")

            assert (await lag(), consumer.asked) == (
                {0: 5, 1: 0},
                0,
            )  # the fetches tell where it ends
            feeding = asyncio.create_task(w.pipeline.ingest(0, [click("u1", 0), click("u2", 1)]))
            await settle()
            assert w.pipeline.paused_partitions == 2
            first, second = await lag(), await lag()
            assert first[0] >= 5 + 10
            assert second[0] > first[0]
            w.pipeline._batcher.draining = True
            w.pipeline._wake.set()
            await settle()
            await w.acknowledge_all()
            await feeding
            assert await lag() == {0: 5 - 2, 1: 0}

    scenario()


def test_lag_is_unknown_while_the_broker_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            rounds = Rounds(monkeypatch)
            monitor, health = monitored(w.metrics)
            consumer = Partitions(committed={0: 0}, ends={0: 5})
            names = (
                "lately_consumer_lag_records",
                "lately_committed_lag_records",
                "lately_consumer_lag_seconds",
            )
            await w.feed(click("u1", 0))
            seen: list[list[dict[int, float]]] = []

            def look() -> bool:
                if len(rounds.pauses_s) > len(seen):
                    seen.append([by_partition(w.metrics, name) for name in names])
                    if len(seen) % 2:
                        health.set_ok("broker")
                    else:
                        health.set_failed("broker", "the broker does not answer")
                return len(seen) == 4

            await rounds.run(monitor.update_gauges(w.pipeline, consumer, lambda: {0: 2}), look)

            # Not yet an answer; there; away again, whose last end says nothing of now; there.
            known = [bool(lag) for lags in seen for lag in lags]
            assert known == [False] * 3 + [True] * 3 + [False] * 3 + [True] * 3

    scenario()


def test_lag_in_seconds_is_the_age_of_the_oldest_record_that_is_not_on_disk(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path, policy=LATER) as w:
            rounds = Rounds(monkeypatch)
            monitor, health = monitored(w.metrics)
            health.set_ok("broker")
            monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: NOW_MS / 1000 + 12.0))
            old, new = click("u1", 0), click("u2", 1)
            old.timestamp, new.timestamp = NOW_MS - 5_000, NOW_MS

            async def seconds(ends: dict[int, int]) -> dict[int, float]:
                before = len(rounds.pauses_s)
                watch = monitor.update_gauges(w.pipeline, Partitions({0: 0, 1: 0}, ends), dict)
                await rounds.run(watch, lambda: len(rounds.pauses_s) > before)
                return by_partition(w.metrics, "lately_consumer_lag_seconds")

            # Nothing of partition 0 is read; partition 1 is empty.
            assert await seconds({0: 2, 1: 0}) == {1: 0.0}
            await w.feed(old, new)
            assert await seconds({0: 2, 1: 0}) == {0: 12.0 + 5.0, 1: 0.0}
            w.pipeline._batcher.draining = True
            w.pipeline._wake.set()
            await settle()
            await w.acknowledge_all()
            assert await seconds({0: 2, 1: 0}) == {0: 0.0, 1: 0.0}
            # One more is there, unread: it is no older than the last that was read.
            assert await seconds({0: 3, 1: 0}) == {0: 12.0, 1: 0.0}

    scenario()


def test_gauges_show_waiting_users_and_the_oldest_unscored_age(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path, policy=LATER) as w:
            rounds = Rounds(monkeypatch)
            monitor, _ = monitored(w.metrics)
            monkeypatch.setattr(module, "time", SimpleNamespace(time=lambda: NOW_MS / 1000 + 12.0))
            consumer = Partitions({}, {})
            await rounds.run(
                monitor.update_gauges(w.pipeline, consumer, dict), lambda: len(rounds.pauses_s) == 1
            )
            before = gauges(w.metrics)
            await w.feed(click("u1", 0), click("u2", 1))
            await rounds.run(
                monitor.update_gauges(w.pipeline, consumer, dict), lambda: len(rounds.pauses_s) == 2
            )
            after = gauges(w.metrics)

            assert before["lately_oldest_unscored_event_age_seconds"] == 0.0
            assert after["lately_oldest_unscored_event_age_seconds"] == pytest.approx(12.0)
            assert (before["lately_pending_users"], after["lately_pending_users"]) == (0, 2)

    scenario()


def test_gauges_show_users_in_memory_and_partitions_that_are_not_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @on_a_loop
    async def scenario() -> None:
        limits = LIMITS._replace(pending_users=2)
        async with world(tmp_path, policy=LATER, limits=limits) as w:
            rounds = Rounds(monkeypatch)
            monitor, _ = monitored(w.metrics)

            async def seen() -> tuple[float, float]:
                before = len(rounds.pauses_s)
                watch = monitor.update_gauges(w.pipeline, Partitions({}, {}), dict)
                await rounds.run(watch, lambda: len(rounds.pauses_s) > before)
                found = gauges(w.metrics)
                return found["lately_cached_users"], found["lately_paused_partitions"]

            await w.feed(click("u1", 0), click("u2", 1))
            assert await seen() == (2, 0)
            reading = asyncio.create_task(w.feed(click("u3", 2)))  # waits for room
            await settle()
            # One is too many; both partitions of this worker wait for room.
            assert await seen() == (3, 2)
            w.pipeline._batcher.draining = True
            w.pipeline._wake.set()
            await reading
            assert await seen() == (3, 0)

    scenario()


def test_state_on_disk_is_measured_repeatedly(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    @on_a_loop
    async def scenario() -> None:
        async with world(tmp_path) as w:
            rounds = Rounds(monkeypatch)
            monitor, _ = monitored(w.metrics)
            await w.feed(click("u1", 0), click("u2", 1))
            await w.acknowledge_all()
            watch = monitor.measure_state(w.store, tmp_path)
            await rounds.run(watch, lambda: len(rounds.pauses_s) == 2)

            found = gauges(w.metrics)
            # RocksDB counts its own keys, too: the changelog offset and the time of writing.
            assert 2 <= found["lately_stored_users"] <= 2 + 2 * 2
            assert found["lately_state_bytes"] == measure(tmp_path).state_bytes > 0
            assert found["lately_state_free_bytes"] > 0

    scenario()


def test_readiness_follows_the_broker(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def scenario() -> None:
        rounds = Rounds(monkeypatch)
        monkeypatch.setattr(module, "BROKER_TIMEOUT_S", 0.01)
        monitor, health = monitored()
        answers = iter([True, False, True, None, True])
        seen: list[bool] = []

        async def answer() -> bool:
            found = next(answers, True)
            if found is None:  # the broker never answers
                await asyncio.Event().wait()
            return bool(found)

        def look() -> bool:
            if len(rounds.pauses_s) > len(seen):
                seen.append("broker" not in health.ready()[1])
            return len(seen) == 5

        producer = SimpleNamespace(client=SimpleNamespace(force_metadata_update=answer))
        await rounds.run(monitor.watch_broker(cast("AIOKafkaProducer", producer)), look)

        assert seen == [True, False, True, False, True]

    asyncio.run(scenario())


def test_heap_is_trimmed_repeatedly(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        rounds = Rounds(monkeypatch)
        monitor, _ = monitored()
        trimmed: list[float] = []
        monkeypatch.setattr(module, "trim", lambda: trimmed.append(len(rounds.pauses_s)))
        await rounds.run(monitor.trim_heap(), lambda: len(trimmed) == 2)
        await settle()

        assert trimmed[:2] == [1, 2]  # after each pause: there is nothing to trim at the start

    asyncio.run(scenario())


def test_a_starting_worker_says_how_much_room_there_is_before_it_serves_metrics(
    tmp_path: Path,
) -> None:
    async def scenario() -> dict[str, float]:
        settings = WorkerSettings.load(artifact=tmp_path, state_dir=tmp_path, http="127.0.0.1:0")
        wiring = Wiring(settings)
        async with AsyncExitStack() as stack:
            await wiring._serve_http(stack)
            return gauges(wiring._metrics)

    # 0 would be a full disk, and alert.
    assert asyncio.run(scenario())["lately_state_free_bytes"] > 0
