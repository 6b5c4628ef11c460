"""The demo after its start: rejected events, durations, and errors that end it."""

import asyncio
import io
import time
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError
from rich.console import Console

from stream.demo import demo as module
from stream.demo.demo import Demo, Options
from stream.demo.tally import Tally
from stream.demo.view import Screen
from stream.errors import BrokerError, LatelyError


class Producer:
    """Answers each record with an offset, an error, or a cancelled future."""

    def __init__(self, *answers: int | Exception | None) -> None:
        self._answers = list(answers)
        self.sent: list[tuple[bytes, bytes]] = []

    async def send(self, topic: str, value: bytes, *, key: bytes) -> "asyncio.Future[Any]":
        self.sent.append((key, value))
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        match self._answers.pop(0):
            case int(offset):
                future.set_result(SimpleNamespace(offset=offset))
            case None:
                future.cancel()
            case error:
                assert isinstance(error, Exception)
                future.set_exception(error)
        return future


def demo(producer: Producer | None = None, exit_code: int | None = None) -> Demo:
    """A demo after its start, whose worker runs unless it has an exit code."""
    started = Demo(Options(scorer="null"))
    started._tally = Tally()
    started._settings = SimpleNamespace(events_topic="events")  # type: ignore[assignment]
    started._producer = producer
    started._worker = SimpleNamespace(  # type: ignore[assignment]
        exit_code=exit_code, last_lines=lambda: "out of memory"
    )
    return started


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.mark.parametrize("answer", [KafkaConnectionError("closed"), None])
def test_rejected_event_remains_unscored(answer: Exception | None) -> None:
    async def scenario() -> None:
        started = demo(Producer(0, answer))
        lost: list[dict[str, Any]] = []  # what asyncio would print on the terminal
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
        for item in ("i1", "i2"):
            await started._send({"user_id": "u1", "item_id": item, "action": "click", "ts": 1})
        await asyncio.sleep(0)
        score = {"as_of": {"offset": 9}, "items": []}
        started._tally.score_received("u1", score, now_s=1.0)

        assert (started._tally.events, started._tally.unscored) == (2, 1)
        assert lost == []

    run(scenario())


def test_sent_event_is_keyed_by_shopper_and_shown() -> None:
    async def scenario() -> None:
        producer = Producer(0)
        started = demo(producer)
        await started._send({"user_id": "u1", "item_id": "i1", "action": "click", "ts": 1})
        started._shoppers.add_score("u1", {"items": []})

        assert producer.sent == [
            (b"u1", b'{"user_id":"u1","item_id":"i1","action":"click","ts":1}')
        ]
        ((user, actions, _),) = started._shoppers.rows(0.0)
        assert (user, actions[0].item, actions[0].name) == ("u1", "i1", "click")

    run(scenario())


def test_worker_exit_ends_the_demo_with_the_workers_last_line() -> None:
    async def scenario() -> None:
        started = demo(exit_code=3)
        started._tally.event_sent({"user_id": "u1", "item_id": "i1", "action": "click"}, now_s=0.0)
        await started._until_scored(60.0)

    with pytest.raises(LatelyError, match="ended with exit code 3: out of memory"):
        run(scenario())


def test_failed_score_reader_ends_the_demo() -> None:
    async def scenario() -> None:
        async def fail() -> None:
            raise BrokerError("gone")

        started = demo()
        started._reading = asyncio.create_task(fail())
        started._tally.event_sent({"user_id": "u1", "item_id": "i1", "action": "click"}, now_s=0.0)
        await started._until_scored(60.0)

    with pytest.raises(BrokerError, match="gone"):
        run(scenario())


def test_waiting_for_scores_times_out() -> None:
    async def scenario() -> None:
        started = demo()
        started._reading = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]
        started._tally.event_sent({"user_id": "u1", "item_id": "i1", "action": "click"}, now_s=0.0)
        await started._until_scored(0.01)

        assert started._tally.unscored == 1

    run(scenario())


async def live(started: Demo, *times_ms: int) -> list[int]:
    """Run the live part of a demo on events of these times; returns how many were sent."""
    started._events = iter(
        [{"user_id": "u1", "item_id": "i1", "action": "click", "ts": ts} for ts in times_ms]
    )
    started._reading = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]
    await started._live()
    return [started._tally.events, started._tally.history]


def test_demo_runs_for_its_seconds_and_sends_only_events_due_by_then(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.01)

    async def scenario() -> None:
        started = demo(Producer(0, 1, 2))
        started._options = Options(seconds=0.2, scorer="null")
        console = Console(file=io.StringIO(), record=True)
        started._screen = Screen({}, console)
        began_s = time.monotonic()
        # The first two are due at once, the third in an hour.
        sent = await live(started, 5_000, 5_000, 3_605_000)

        assert sent == [2, 0]
        assert time.monotonic() - began_s >= 0.2
        assert " events " in console.export_text()  # the figures were printed meanwhile

    run(scenario())


def test_demo_without_a_duration_runs_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.01)

    async def scenario() -> None:
        started = demo(Producer())
        running = asyncio.create_task(live(started, *[]))
        done, _ = await asyncio.wait({running}, timeout=0.1)
        assert not done
        started._stop.set()

        assert await running == [0, 0]

    run(scenario())


def test_send_error_ends_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.01)

    class Closed(Producer):
        async def send(self, topic: str, value: bytes, *, key: bytes) -> "asyncio.Future[Any]":
            raise KafkaConnectionError("closed")

    async def scenario() -> None:
        await live(demo(Closed()), 5_000)

    with pytest.raises(KafkaConnectionError, match="closed"):
        run(scenario())
