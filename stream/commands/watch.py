"""Watching: reads the scores topic, for people at a terminal and for programs in a pipe."""

import asyncio
import contextlib
import logging
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Any

import orjson

from stream.commands.watch_view import LatestUsers, OneUser, Scored, View, plain_line
from stream.errors import BrokerError, TopicsError
from stream.kafka.connection_errors import DENIED, denial, missing, raise_refusal
from stream.kafka.security import client_options
from stream.settings import KafkaSettings

# The embedded broker answers a fetch that has to wait only after half of that, events or not.
FETCH_WAIT_MS = 20
REFRESH_MS = 250  # four times a second: lively, and still readable


def watch(
    settings: KafkaSettings,
    user: str | None = None,
    *,
    from_beginning: bool = False,
    as_json: bool = False,
) -> None:
    """Show scores until Ctrl-C, or until nobody reads on; those of one user, if one is given.

    On a terminal a view that stays in place, else a line per score. Raises BrokerError when
    Kafka is not there, TopicsError when the scores topic is not, or holds something else.
    """
    try:
        asyncio.run(_watch(settings, user, from_beginning, as_json))
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # `lately watch | head` has seen enough; Python must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _watch(
    settings: KafkaSettings, user: str | None, from_beginning: bool, as_json: bool
) -> None:
    scores = read_scores(settings, from_beginning=from_beginning)
    async with contextlib.aclosing(scores):
        if as_json or not sys.stdout.isatty():
            line = json_line if as_json else plain_line
            async for batch in scores:
                _print(line, (scored for scored in batch if user in (None, scored.user_id)))
        else:
            await _draw(scores, user, f"{settings.scores_topic} on {settings.bootstrap}")


def _print(line: Callable[[Scored], str], batch: Iterable[Scored]) -> None:
    for scored in batch:
        print(line(scored))
    sys.stdout.flush()


async def _draw(scores: AsyncGenerator[list[Scored], None], user: str | None, where: str) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    view: View = OneUser(user, where) if user else LatestUsers(where, max(3, console.height - 5))
    drawn_ms = 0
    with Live(console=console, auto_refresh=False) as live:
        async for batch in scores:
            for scored in batch:
                if user in (None, scored.user_id):
                    view.add(scored)
            now_ms = time.time_ns() // 1_000_000
            if now_ms - drawn_ms >= REFRESH_MS:
                live.update(view.draw(now_ms), refresh=True)
                drawn_ms = now_ms


async def read_scores(
    settings: KafkaSettings, *, from_beginning: bool
) -> AsyncGenerator[list[Scored], None]:
    """Scores as they come, at least every ``REFRESH_MS`` a list, which may be empty.

    Belongs to no consumer group, so it leaves no trace at the broker. Raises as ``watch`` does.
    """
    from aiokafka import AIOKafkaConsumer
    from aiokafka.errors import KafkaConnectionError, KafkaError

    # Its complaints about a broker that is away come again every second, into the view.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    reset = "earliest" if from_beginning else "latest"
    consumer = AIOKafkaConsumer(
        **client_options(settings), auto_offset_reset=reset, fetch_max_wait_ms=FETCH_WAIT_MS
    )
    try:
        await consumer.start()
        # Ask for all topics: asking for one by name may create it.
        if settings.scores_topic not in await consumer.topics():
            raise missing(settings, settings.scores_topic, "--scores-topic")
        consumer.subscribe([settings.scores_topic])
        while True:
            fetched = await consumer.getmany(timeout_ms=REFRESH_MS)
            records = [record for batch in fetched.values() for record in batch]
            yield [_parse(record) for record in sorted(records, key=lambda r: r.timestamp)]
    except DENIED as error:
        raise BrokerError(f"{settings.bootstrap}: {denial(error)}") from error
    except KafkaError as error:
        advice = await raise_refusal(settings)
        # Of nobody there, the client has much to say, and nothing that helps.
        why = "" if isinstance(error, KafkaConnectionError) else f" ({error})"
        raise BrokerError(
            f"no Kafka to talk to at {settings.bootstrap}{why}; "
            + (advice or "is it running? Set --bootstrap or LATELY_BOOTSTRAP")
        ) from error
    finally:
        await consumer.stop()


def _parse(record: Any) -> Scored:
    try:
        user_id = record.key.decode()
        score = None if record.value is None else orjson.loads(record.value)
        if score is not None and score["user_id"] != user_id:
            raise ValueError("the user_id is not the key")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TopicsError(
            f"{record.topic}: partition {record.partition}, offset {record.offset} is not a score "
            f"({error!r}); set --scores-topic to the topic that the worker writes"
        ) from error
    return Scored(user_id, record.timestamp, score)


def json_line(scored: Scored) -> str:
    """A score as it stands in the topic; a user forgotten as a line that says so."""
    return orjson.dumps(scored.score or {"user_id": scored.user_id, "forgotten": True}).decode()
