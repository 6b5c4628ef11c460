"""The demo: a simulated shop, scored live by a real worker on an embedded broker."""

import asyncio
import os
import signal
import sys
import time
from asyncio import Future, Task
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from http import HTTPStatus
from importlib.resources import files
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout
from aiokafka import AIOKafkaProducer

from model.artifact.artifact import Artifact
from model.synthetic.shop import Shop
from stream.addresses import Address
from stream.commands.scores import read_scores
from stream.demo.child_process import Child
from stream.demo.embedded_broker import HOST, EmbeddedBroker, free_port
from stream.demo.next_steps import next_steps
from stream.demo.tally import TOP, SentEvent, Tally
from stream.demo.view import Action, Progress, Screen, VisibleShoppers
from stream.errors import LatelyError
from stream.kafka.security import client_options
from stream.kafka.topics import create_topics
from stream.settings import KafkaSettings

ARTIFACT = Path(str(files("model") / "demo_artifact"))
SHOP_SEED = 1  # the shop that the artifact was trained on
EVENTS_SEED = 2_000  # visits that it was not trained on
PARTITIONS = 4
HISTORY_S = 900  # events before the demo goes live, so that it starts with visits under way
REFRESH_S = 0.2
START_TIMEOUT_S = 60.0
ANSWER_S = 2.0  # for the worker to say whether it is ready
SESSION_S = 3.0  # the embedded broker waits half of it for other members to join
TAIL_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Options:
    """Size and duration: ``seconds`` None is until Ctrl-C, ``shoppers`` None by the rate."""

    seconds: float | None = None
    events_per_s: float = 50.0
    shoppers: int | None = None
    artifact: Path = ARTIFACT
    scorer: str = "onnx"

    @property
    def shopper_count(self) -> int:
        """The number of shoppers; by default 200 per event and second.

        Then few of them are in the shop at a time, and few come back soon.
        """
        return self.shoppers or max(100, round(200 * self.events_per_s))


def demo(options: Options) -> int:
    """Run the demo, and print its summary.

    Returns the exit code: 0 if every event was scored, else 1. Raises LatelyError when it cannot
    start or the worker ends, BrokerError as the embedded broker does.
    """
    # The demo has its own Kafka: settings for another one must not affect it or the worker.
    for name in [name for name in os.environ if name.startswith("LATELY_")]:
        del os.environ[name]
    return asyncio.run(Demo(options).run())


class Demo:
    """One run of the demo."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._shop = Shop(SHOP_SEED)
        self._titles = {item.item_id: item.title for item in self._shop.items}
        self._screen = Screen(self._titles)
        self._shoppers = VisibleShoppers(self._screen.shopper_count)
        self._stop = asyncio.Event()
        self._settings: KafkaSettings
        self._tally: Tally
        self._worker: Child
        self._producer: AIOKafkaProducer
        self._reading: Task[None]

    async def run(self) -> int:
        """Start everything, run live, and show the summary."""
        starting = asyncio.current_task()
        assert starting is not None
        loop = asyncio.get_running_loop()
        stopped_by = list[int]()

        def stop(number: int) -> None:
            stopped_by.append(number)
            starting.cancel()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, stop, number)
        when = " before the first event"
        try:
            async with AsyncExitStack() as stack:
                await self._start(stack)
                for number in (signal.SIGINT, signal.SIGTERM):
                    loop.add_signal_handler(number, self._stop.set)
                when = ""  # a terminal that is closed needs no summary
                await self._live()
                await self._tail()
        except asyncio.CancelledError:
            error = LatelyError(f"stopped{when}")
            error.exit_code = 128 + stopped_by[0] if stopped_by else 1
            raise error from None
        self._screen.summary(self._tally, next_steps(self._options.artifact))
        return 1 if self._tally.unscored else 0

    # --- start ---------------------------------------------------------------------------------

    async def _start(self, stack: AsyncExitStack) -> None:
        """Start broker, topics and worker; send the history while the worker joins its group."""
        options, step = self._options, self._screen.step
        self._tally = Tally(_popular(options.artifact, options.scorer))
        folder = stack.enter_context(TemporaryDirectory(prefix="lately-demo-"))
        with step("broker", "starting") as report:
            broker = stack.enter_context(EmbeddedBroker())
            report(f"in memory, at {broker.bootstrap}")
        self._settings = KafkaSettings.load(bootstrap=broker.bootstrap, idempotence=False)
        with step("topics", "being created") as report:
            await create_topics(self._settings, PARTITIONS)
            report(f"{self._settings.events_topic}, {self._settings.scores_topic}")
        http = Address(HOST, free_port())
        self._worker = Child(_worker_command(options, self._settings, folder, http))
        stack.callback(self._worker.stop, grace_s=10.0)
        self._reading = asyncio.create_task(self._read())
        stack.callback(self._reading.cancel)
        self._producer = AIOKafkaProducer(**client_options(self._settings), linger_ms=2)
        stack.push_async_callback(self._producer.stop)
        await self._producer.start()
        with step("history", f"{options.shopper_count:,} shoppers come in") as report:
            self._events = await self._send_history()
            report(f"{self._tally.events:,} events of the last {HISTORY_S // 60} minutes")
        with step("worker", "loading the model and joining its group") as report:
            await self._until_ready(http)
            report(f"ready, at http://{http}/metrics")
        with step("catch-up", "scoring the shoppers in the shop") as report:
            await self._until_scored(START_TIMEOUT_S)
            report(f"{self._tally.users:,} shoppers scored")
        if self._tally.unscored:
            raise LatelyError(
                f"the worker left {self._tally.unscored} events without a score within "
                f"{START_TIMEOUT_S:g} s; its last line: {self._worker.last_lines()}"
            )

    async def _send_history(self) -> Iterator[dict[str, Any]]:
        """Send the events up to now; returns those that follow."""
        options = self._options
        now_ms = _now_ms()
        events = self._shop.events(
            options.shopper_count, now_ms - HISTORY_S * 1000, EVENTS_SEED, options.events_per_s
        )
        for event in events:
            await self._send(event)
            if event["ts"] >= now_ms:
                break
        await self._producer.flush()
        return events

    async def _until_ready(self, http: Address) -> None:
        deadline_s = time.monotonic() + START_TIMEOUT_S
        async with ClientSession() as session:
            while not await is_ready(session, http):
                self._raise_if_ended()
                if time.monotonic() > deadline_s:
                    raise LatelyError(
                        f"the worker is not ready after {START_TIMEOUT_S:g} s; its last line: "
                        f"{self._worker.last_lines()}"
                    )
                await asyncio.sleep(0.1)

    # --- live ----------------------------------------------------------------------------------

    async def _live(self) -> None:
        """Send events in real time, until the time is up or a signal stops us."""
        self._tally.go_live()
        started_s = time.monotonic()
        seconds = self._options.seconds
        sending = asyncio.create_task(self._send_live(started_s))
        try:
            with self._screen.live() as update:
                while not self._stop.is_set():
                    elapsed_s = time.monotonic() - started_s
                    if seconds is not None and elapsed_s >= seconds:
                        return
                    self._raise_if_ended()
                    if sending.done():
                        sending.result()
                    update(self._shoppers, self._tally, Progress(elapsed_s, seconds))
                    with suppress(TimeoutError):
                        async with asyncio.timeout(REFRESH_S):
                            await self._stop.wait()
        finally:
            sending.cancel()

    async def _send_live(self, started_s: float) -> None:
        """Send each event when it is due; the time of the shop stopped while the worker started."""
        first_ms: int | None = None
        for event in self._events:
            first_ms = first_ms or event["ts"]
            due_s = started_s + (event["ts"] - first_ms) / 1000
            if (wait_s := due_s - time.monotonic()) > 0:
                await asyncio.sleep(wait_s)
            await self._send(event | {"ts": _now_ms()})

    async def _send(self, event: dict[str, Any]) -> None:
        now_s, user_id = time.monotonic(), event["user_id"]
        sent, predicted = self._tally.event_sent(event, now_s)
        action = Action(event["action"], event["item_id"], predicted, now_s)
        self._shoppers.add_action(user_id, action)
        future = await self._producer.send(
            self._settings.events_topic, orjson.dumps(event), key=user_id.encode()
        )
        future.add_done_callback(lambda done: self._on_acknowledged(user_id, sent, done))

    def _on_acknowledged(self, user_id: str, sent: SentEvent, future: "Future[Any]") -> None:
        # An event that the broker rejects never gets a score, and so fails the demo.
        if not future.cancelled() and future.exception() is None:
            self._tally.event_acknowledged(user_id, sent, future.result().offset)

    async def _read(self) -> None:
        async for batch in read_scores(self._settings, from_beginning=True):
            now_s = time.monotonic()
            for scored in batch:
                if scored.score is not None:
                    self._tally.score_received(scored.user_id, scored.score, now_s)
                    self._shoppers.add_score(scored.user_id, scored.score)
            self._tally.hit_rate.update_popular()

    # --- end -----------------------------------------------------------------------------------

    async def _tail(self) -> None:
        """Wait for the scores of the last events."""
        await self._producer.flush()
        with self._screen.step("tail", "waiting for the last scores") as report:
            await self._until_scored(TAIL_TIMEOUT_S)
            report("the last scores are in" if not self._tally.unscored else "gave up waiting")

    async def _until_scored(self, timeout_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while self._tally.unscored:
                    self._raise_if_ended()
                    await asyncio.sleep(0.02)

    def _raise_if_ended(self) -> None:
        """Raise the error of a worker or score reader that has ended."""
        if (code := self._worker.exit_code) is not None:
            raise LatelyError(
                f"the worker ended with exit code {code}: {self._worker.last_lines()}"
            )
        if self._reading.done():
            self._reading.result()


def _worker_command(
    options: Options, settings: KafkaSettings, folder: str, http: Address
) -> list[str]:
    flags = {
        "--bootstrap": settings.bootstrap,
        "--artifact": str(options.artifact),
        "--state-dir": str(Path(folder) / "state"),
        "--http": str(http),
        "--scorer": options.scorer,
        "--session-timeout-s": f"{SESSION_S:g}",
        "--log-level": "warning",
    }
    pairs = [part for pair in flags.items() for part in pair]
    # The embedded broker lets a static member wait for six seconds, another for half its session.
    switches = ("--no-idempotence", "--no-static-membership")
    return [sys.executable, "-m", "stream", "worker", *pairs, *switches]


def _popular(artifact: Path, scorer: str) -> list[str]:
    """The top 20 of the artifact's training data, best first. Raises ArtifactError."""
    if scorer == "null":
        return []
    catalogue = Artifact.open(artifact).read_catalogue()
    ranked = sorted(zip(-catalogue.counts, catalogue.items, strict=True))
    return [item for _, item in islice(ranked, TOP)]


async def is_ready(session: ClientSession, http: Address) -> bool:
    """Whether the worker that serves there says so; no proxy is asked."""
    try:
        async with session.get(f"http://{http}/readyz", timeout=ClientTimeout(ANSWER_S)) as answer:
            return answer.status == HTTPStatus.OK
    except (ClientError, TimeoutError):
        return False


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
