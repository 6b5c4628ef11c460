"""The command `lately replay`: sends an event log to the events topic, at any pace."""

import asyncio
import json
import math
import sys
import time
from asyncio import Future
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol

import orjson

from stream.commands.event_log import Entry, ReplayLog
from stream.errors import BrokerError, LatelyError, SettingsError
from stream.kafka.command_clients import TIMEOUT_S, open_producer
from stream.kafka.placement import SETTING, check_recent_keys
from stream.settings import KafkaSettings, WorkerSettings

MAX_IN_FLIGHT = 10_000  # events sent but not acknowledged
STEP_S = 0.5
REPORT_EVERY_S = 0.2
LINE_EVERY_S = 5.0


@dataclass(frozen=True, slots=True)
class Pace:
    """When each event is due: ``speed`` times as fast as it happened, or all at once for 0."""

    speed: float
    first_ms: int

    def due_s(self, ts_ms: int) -> float:
        """Seconds after the first event is sent."""
        return (ts_ms - self.first_ms) / 1000 / self.speed if self.speed else 0.0

    def shift_ms(self, now_ms: int, last_ms: int) -> int:
        """What to add to every event time to move the log to the present.

        At its own pace, or slower, the first event happens now. Faster, the last event happens
        when it is sent, since a worker clamps times in the future.
        """
        duration_ms = last_ms - self.first_ms
        return now_ms - self.first_ms + min(0, round(1000 * self.due_s(last_ms)) - duration_ms)


@dataclass(frozen=True, slots=True)
class Summary:
    """The events that were sent and acknowledged; ``first_ms`` and ``last_ms`` are as sent."""

    topic: str
    events: int
    seconds: float
    events_per_s: float
    first_ms: int
    last_ms: int

    def line(self) -> str:
        """One line for people."""
        first, last = (
            datetime.fromtimestamp(ms / 1000, UTC).isoformat(" ", "seconds")
            for ms in (self.first_ms, self.last_ms)
        )
        return (
            f"sent {self.events:,} events to {self.topic} in {self.seconds:.1f} s "
            f"({self.events_per_s:,.0f}/s), all acknowledged; event time {first} to {last}"
        )


class Producer(Protocol):
    """The part of aiokafka's producer that sending needs."""

    async def send(self, topic: str, *, value: bytes, key: bytes) -> "Future[Any]":
        """Send one record; the future is done when it is acknowledged."""
        ...


class Sender:
    """Sends events when they are due, and counts those acknowledged."""

    def __init__(
        self,
        producer: Producer,
        topic: str,
        pace: Pace,
        shift_ms: int = 0,
        report: Callable[[int], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.acknowledged = 0
        self._producer = producer
        self._topic = topic
        self._pace = pace
        self._shift_ms = shift_ms
        self._report = report
        self._clock = clock
        self._sleep = sleep
        self._in_flight: deque[tuple[float, Future[Any]]] = deque()
        self._reported_s = clock()

    async def send(self, entries: Iterable[Entry]) -> None:
        """Send all events, keyed by user, and wait for the last acknowledgement.

        At most ``MAX_IN_FLIGHT`` are unacknowledged at a time. Raises what the producer raises, and
        TimeoutError when one is unacknowledged for ``TIMEOUT_S``.
        """
        started_s = self._clock()
        for entry in entries:
            await self._wait_until(started_s + self._pace.due_s(entry.ts_ms))
            await self._send(entry)
            while self._in_flight and (
                self._in_flight[0][1].done() or len(self._in_flight) >= MAX_IN_FLIGHT
            ):
                await self._next_acknowledged()
        while self._in_flight:
            await self._next_acknowledged()
        self._report(self.acknowledged)

    async def _send(self, entry: Entry) -> None:
        value = entry.value
        if self._shift_ms:
            value = shifted(value, entry.ts_ms + self._shift_ms)
        key = entry.user_id.encode()
        future = await self._producer.send(self._topic, value=value, key=key)
        future.add_done_callback(_is_acknowledged)  # or Python names each that nobody asks about
        self._in_flight.append((self._clock(), future))

    async def _wait_until(self, due_s: float) -> None:
        """Wait in short steps, to take acknowledgements in gaps of a log, which may be days."""
        while (wait_s := due_s - self._clock()) > 0:
            await self._sleep(min(wait_s, STEP_S))
            while self._in_flight and (self._in_flight[0][1].done() or self._is_overdue()):
                await self._next_acknowledged()

    def _is_overdue(self) -> bool:
        return self._clock() - self._in_flight[0][0] >= TIMEOUT_S

    def count_rest(self) -> None:
        """Count what was acknowledged since, after sending was interrupted: a beginning of it."""
        while self._in_flight and _is_acknowledged(self._in_flight[0][1]):
            self._in_flight.popleft()
            self.acknowledged += 1

    async def _next_acknowledged(self) -> None:
        sent_s, future = self._in_flight[0]
        # aiokafka never gives up on a record of an idempotent producer.
        async with asyncio.timeout(max(0.0, sent_s + TIMEOUT_S - self._clock())):
            await asyncio.shield(future)  # an interruption must not cancel it: see count_rest
        self._in_flight.popleft()
        self.acknowledged += 1
        if self._clock() - self._reported_s >= REPORT_EVERY_S:
            self._reported_s = self._clock()
            self._report(self.acknowledged)


def _is_acknowledged(future: "Future[Any]") -> bool:
    return future.done() and not future.cancelled() and future.exception() is None


def shifted(value: bytes, ts_ms: int) -> bytes:
    """The event with another time; an event without a time is unchanged."""
    event = orjson.loads(value)
    return orjson.dumps(event | {"ts": ts_ms}) if event.get("ts") is not None else value


def replay(
    settings: KafkaSettings,
    paths: Sequence[Path],
    *,
    speed: str = "1",
    now: bool = False,
    skip: int = 0,
    as_json: bool = False,
) -> None:
    """Send the log, wait until all of it is acknowledged, and print a summary.

    ``speed`` is a factor above 0, or ``max`` (also 0) for as fast as Kafka accepts it. ``now``
    moves all event times to the present. ``skip`` leaves out that many events, in order of time: an
    error tells how many are acknowledged. Raises SettingsError for an invalid speed or ``skip``,
    EventLogError, TopicsError when the topic is missing, BrokerError when Kafka cannot be reached,
    and LatelyError on Ctrl-C.
    """
    factor = parse_speed(speed)
    log = ReplayLog.open(paths)
    if not now and (hint := hint_if_old(log.last_ms, time.time_ns() // 1_000_000)):
        print(hint, file=sys.stderr, flush=True)
    run = Replay(settings, log, factor, now=now, skip=skip)
    try:
        summary = asyncio.run(run.send())
    except KeyboardInterrupt:
        line = f"stopped before every event was sent; {run.how_far() or 'replay the log again'}"
        raise LatelyError(line) from None
    except BrokerError as error:
        raise BrokerError("; ".join(filter(None, (str(error), run.how_far())))) from error
    print(json.dumps(asdict(summary)) if as_json else summary.line())


def hint_if_old(last_ms: int, now_ms: int) -> str:
    """What a worker does with a log that ends long before now; empty for a recent log."""
    age_s = (now_ms - last_ms) // 1000
    if age_s * 1000 <= WorkerSettings.model_fields["allowed_lateness_ms"].default:
        return ""
    line = (
        f"the log ends {age_s // 3600:,} hours ago: users who have newer events in a worker keep "
        "those alone, and it counts the others as late, unless its --allowed-lateness-ms is larger "
        "than that; --now moves the log to the present"
    )
    if age_s > WorkerSettings.model_fields["ttl_s"].default:
        line += (
            "; where newer events flow, the worker deletes users of this log within minutes as "
            "expired, unless its --ttl-s is larger than that"
        )
    return line


def parse_speed(text: str) -> float:
    """The factor, 0 for as fast as possible; raises SettingsError."""
    try:
        factor = 0.0 if text == "max" else float(text)
    except ValueError:
        factor = math.nan
    if not 0 <= factor < math.inf:
        raise SettingsError(f"speed: {text!r} is not a factor; set --speed to 1, 100 or max")
    return factor


class Replay:
    """One run of the command: what it sends, and how far it has come."""

    def __init__(
        self, settings: KafkaSettings, log: ReplayLog, factor: float, *, now: bool, skip: int
    ) -> None:
        """Raises SettingsError if ``skip`` leaves nothing to send."""
        if skip >= log.events:
            raise SettingsError(
                f"skip: the log has {log.events:,} events; set --skip below that, or leave it out"
            )
        self._settings = settings
        self._log = log
        self._factor = factor
        self._now = now
        self._skip = skip
        self._sender: Sender | None = None

    async def send(self) -> Summary:
        """Send the events and wait until they are acknowledged."""
        with closing(self._log.entries()) as entries:
            return await self._send(islice(entries, self._skip, None))

    async def _send(self, entries: Iterator[Entry]) -> Summary:
        first = next(entries)
        pace, topic = Pace(self._factor, first.ts_ms), self._settings.events_topic
        async with open_producer(self._settings) as producer:
            await _warn_of_split_histories(self._settings)
            now_ms, started_s = time.time_ns() // 1_000_000, time.monotonic()
            shift_ms = pace.shift_ms(now_ms, self._log.last_ms) if self._now else 0
            with _progress(self._log.events - self._skip) as report:
                sender = self._sender = Sender(producer, topic, pace, shift_ms, report)
                await sender.send(chain((first,), entries))
            seconds = time.monotonic() - started_s
        return Summary(
            topic=topic,
            events=sender.acknowledged,
            seconds=round(seconds, 3),
            events_per_s=round(sender.acknowledged / seconds, 1),
            first_ms=first.ts_ms + shift_ms,
            last_ms=self._log.last_ms + shift_ms,
        )

    def how_far(self) -> str:
        """Up to where every event is acknowledged, once it is interrupted; empty before that."""
        if self._sender is None:
            return ""
        self._sender.count_rest()
        done = self._skip + self._sender.acknowledged
        return (
            f"the first {done:,} of {self._log.events:,} events are acknowledged; go on with the "
            f"same log and --skip {done}"
        )


async def _warn_of_split_histories(settings: KafkaSettings) -> None:
    keys = await check_recent_keys(settings)
    if keys.status == "WARN":
        print(
            f"lately: {keys.topic}: {keys.found}: a user who is sent both there and by this replay "
            f"has two histories; {SETTING}",
            file=sys.stderr,
        )


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int], None]]:
    """Show progress on stderr: a bar on a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield progress_lines(total)
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress

    columns = (*Progress.get_default_columns(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("replaying", total=total)
        yield lambda done: bar.update(task, completed=done)


def progress_lines(
    total: int, clock: Callable[[], float] = time.monotonic
) -> Callable[[int], None]:
    """A function that takes the number done, and prints it every ``LINE_EVERY_S``."""
    next_line_s = clock() + LINE_EVERY_S

    def report(done: int) -> None:
        nonlocal next_line_s
        if clock() >= next_line_s:
            next_line_s = clock() + LINE_EVERY_S
            print(f"replaying: {done:,} of {total:,}", file=sys.stderr, flush=True)

    return report
