"""The demo's accounts: an event that the broker did not take, and what ends a run early."""

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
    """Answers each record as the test says: with an offset, an error, or by breaking off."""

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
    """A demo after its start, with a worker that runs or has ended."""
    here = Demo(Options(scorer="null"))
    here._tally = Tally()
    here._settings = SimpleNamespace(events_topic="events")  # type: ignore[assignment]
    here._producer = producer
    here._worker = SimpleNamespace(  # type: ignore[assignment]
        exit_code=exit_code, last_lines=lambda: "out of memory"
    )
    return here


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.mark.parametrize("answer", [KafkaConnectionError("closed"), None])
def test_an_event_that_the_broker_did_not_take_stays_without_a_score(
    answer: Exception | None,
) -> None:
    async def scenario() -> None:
        here = demo(Producer(0, answer))
        lost: list[dict[str, Any]] = []  # what asyncio would complain of at the terminal
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
        for item in ("i1", "i2"):
            await here._send({"user_id": "u1", "item_id": item, "action": "click", "ts": 1})
        await asyncio.sleep(0)
        score = {"as_of": {"offset": 9}, "items": []}
        here._tally.score_received("u1", score, now_s=1.0)

        assert (here._tally.events, here._tally.unscored) == (2, 1)
        assert lost == []

    run(scenario())


def test_an_event_is_sent_under_its_shopper_and_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        producer = Producer(0)
        here = demo(producer)
        await here._send({"user_id": "u1", "item_id": "i1", "action": "click", "ts": 1})
        here._shoppers.add_score("u1", {"items": []})

        assert producer.sent == [
            (b"u1", b'{"user_id":"u1","item_id":"i1","action":"click","ts":1}')
        ]
        ((user, doings, _),) = here._shoppers.rows(0.0)
        assert (user, doings[0].item, doings[0].name) == ("u1", "i1", "click")

    run(scenario())


def test_a_worker_that_ends_ends_the_demo_with_its_last_words() -> None:
    async def scenario() -> None:
        here = demo(exit_code=3)
        here._tally.event_sent({"user_id": "u1", "item_id": "i1", "action": "click"}, now_s=0.0)
        await here._until_scored(60.0)

    with pytest.raises(LatelyError, match="ended with exit code 3: out of memory"):
        run(scenario())


def test_a_reader_of_scores_that_fails_ends_the_demo_too() -> None:
    async def scenario() -> None:
        async def fail() -> None:
            raise BrokerError("gone")

        here = demo()
        here._reading = asyncio.create_task(fail())
        here._tally.event_sent({"user_id": "u1", "item_id": "i1", "action": "click"}, now_s=0.0)
        await here._until_scored(60.0)

    with pytest.raises(BrokerError, match="gone"):
        run(scenario())


def test_scores_that_do_not_come_are_waited_for_only_so_long() -> None:
    async def scenario() -> None:
        here = demo()
        here._reading = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]
        here._tally.event_sent({"user_id": "u1", "item_id": "i1", "action": "click"}, now_s=0.0)
        await here._until_scored(0.01)

        assert here._tally.unscored == 1

    run(scenario())


async def opened(here: Demo, *times_ms: int) -> list[int]:
    """Let a demo live on events of these times; give how many were sent, look by look."""
    here._events = iter(
        [{"user_id": "u1", "item_id": "i1", "action": "click", "ts": ts} for ts in times_ms]
    )
    here._reading = asyncio.create_task(asyncio.Event().wait())  # type: ignore[arg-type]
    await here._live()
    return [here._tally.events, here._tally.history]


def test_a_demo_lives_for_its_seconds_and_sends_what_is_due_in_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.01)

    async def scenario() -> None:
        here = demo(Producer(0, 1, 2))
        here._options = Options(seconds=0.2, scorer="null")
        console = Console(file=io.StringIO(), record=True)
        here._screen = Screen({}, console)
        began_s = time.monotonic()
        # The first two are due at once, the third after an hour.
        sent = await opened(here, 5_000, 5_000, 3_605_000)

        assert sent == [2, 0]
        assert time.monotonic() - began_s >= 0.2
        assert " events " in console.export_text()  # somebody looks on meanwhile

    run(scenario())


def test_a_demo_without_seconds_lives_until_it_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.01)

    async def scenario() -> None:
        here = demo(Producer())
        living = asyncio.create_task(opened(here, *[]))
        done, _ = await asyncio.wait({living}, timeout=0.1)
        assert not done
        here._stop.set()

        assert await living == [0, 0]

    run(scenario())


def test_an_event_that_cannot_be_sent_ends_the_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REFRESH_S", 0.01)

    class Closed(Producer):
        async def send(self, topic: str, value: bytes, *, key: bytes) -> "asyncio.Future[Any]":
            raise KafkaConnectionError("closed")

    async def scenario() -> None:
        await opened(demo(Closed()), 5_000)

    with pytest.raises(KafkaConnectionError, match="closed"):
        run(scenario())
