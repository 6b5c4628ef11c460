"""The scores as they come, read over outages of the brokers."""

import asyncio
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import orjson

from stream.commands.watch_view import Scored
from stream.errors import BrokerError, TopicsError
from stream.kafka.command_clients import TopicReader, open_reader
from stream.settings import KafkaSettings
from stream.storage.applied_offset import is_expiry

REFRESH_S = 0.25  # four times a second: lively, and still readable
OUTAGE_S = 300.0  # to wait for a broker that has gone away
_CHECK_S = 2.0  # without a score, until the broker is asked whether it is there
_AGAIN_S = 1.0


async def read_scores(
    settings: KafkaSettings, *, from_beginning: bool
) -> AsyncGenerator[list[Scored], None]:
    """Scores as they come: a list at least every ``REFRESH_S``, which may be empty.

    Raises BrokerError when no broker answers, TopicsError when the scores topic is missing or holds
    something else.
    """
    async with open_reader(settings, settings.scores_topic, "--scores-topic") as reader:
        await _begin(reader, from_beginning)
        async for records in _poll(reader):
            yield _scores(records)


async def follow_scores(
    settings: KafkaSettings, *, from_beginning: bool
) -> AsyncGenerator[list[Scored], None]:
    """As `read_scores`, but once it has begun it waits for brokers that are away, and goes on.

    Says so on stderr. Raises BrokerError after ``OUTAGE_S``.
    """
    next_offsets: dict[int, int] | None = None
    away_s: float | None = None  # since when no broker answers
    while True:
        is_open = False
        try:
            async with open_reader(settings, settings.scores_topic, "--scores-topic") as reader:
                if next_offsets is None:
                    await _begin(reader, from_beginning)
                    next_offsets = await reader.positions()
                else:
                    reader.seek(next_offsets)
                is_open = True
                if away_s is not None:
                    took_s = time.monotonic() - away_s
                    _say(f"{settings.bootstrap}: the broker answers again, after {took_s:.0f} s")
                    away_s = None
                async with aclosing(_poll(reader)) as polled:
                    async for records in polled:
                        yield _scores(records)
                        for record in records:
                            next_offsets[record.partition] = record.offset + 1
        except (BrokerError, TopicsError) as error:
            # A broker that has just started may not know the topic yet.
            if next_offsets is None or (is_open and isinstance(error, TopicsError)):
                raise
            if away_s is None:
                away_s = time.monotonic()
                where = settings.bootstrap
                _say(f"{where}: the broker is away; waiting for it, {OUTAGE_S:g} s at most")
            if time.monotonic() - away_s > OUTAGE_S:
                raise BrokerError(
                    f"{settings.bootstrap}: the broker is away for more than {OUTAGE_S:g} s; start "
                    f"it, and `lately watch` again ({error})"
                ) from error
        await asyncio.sleep(_AGAIN_S)


async def _begin(reader: TopicReader, from_beginning: bool) -> None:
    await (reader.seek_to_beginning() if from_beginning else reader.seek_to_end())


async def _poll(reader: TopicReader) -> AsyncGenerator[list[Any], None]:
    """The next records, at least every ``REFRESH_S``; raises KafkaError when no broker answers.

    The client itself waits for one without a word, and for ever.
    """
    heard_s = time.monotonic()
    while True:
        records = await reader.poll(REFRESH_S)
        if not records and time.monotonic() - heard_s > _CHECK_S:
            await reader.check()
        if records or time.monotonic() - heard_s > _CHECK_S:
            heard_s = time.monotonic()
        yield records


def _scores(records: list[Any]) -> list[Scored]:
    return [_parse(record) for record in sorted(records, key=lambda r: r.timestamp)]


def _say(line: str) -> None:
    print(f"lately: {line}", file=sys.stderr, flush=True)


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
    return Scored(user_id, record.timestamp, score, score is None and is_expiry(record.headers))
