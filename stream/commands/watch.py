"""The command `lately watch`: shows scores to people at a terminal, and prints them to a pipe."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from model.data.titles import read_titles
from stream.commands.watch_view import LatestUsers, OneUser, Scored, View, plain_line, titled
from stream.errors import TopicsError
from stream.kafka.command_clients import open_reader
from stream.settings import KafkaSettings
from stream.storage.applied_offset import is_expiry

REFRESH_S = 0.25  # four times a second: lively, and still readable


def watch(
    settings: KafkaSettings,
    user: str | None = None,
    items: Path | None = None,
    *,
    from_beginning: bool = False,
    as_json: bool = False,
) -> None:
    """Show scores until Ctrl-C or a closed pipe; only those of ``user``, if given.

    People see the titles that the file ``items`` has; JSON is as it stands in the topic.

    A terminal gets a table updated in place, anything else a line per score. Raises BrokerError
    when Kafka cannot be reached, TopicsError when the scores topic is missing or holds something
    else.
    """
    try:
        asyncio.run(_watch(settings, user, read_titles(items), from_beginning, as_json))
    except KeyboardInterrupt:
        pass
    except BrokenPipeError:
        # `lately watch | head` has ended; Python must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _watch(
    settings: KafkaSettings,
    user: str | None,
    titles: Mapping[str, str],
    from_beginning: bool,
    as_json: bool,
) -> None:
    scores = read_scores(settings, from_beginning=from_beginning)
    async with contextlib.aclosing(scores):
        if as_json or not sys.stdout.isatty():
            async for batch in scores:
                mine = (scored for scored in batch if user in (None, scored.user_id))
                if as_json:
                    _print(json_line, mine)
                else:
                    _print(plain_line, (titled(scored, titles) for scored in mine))
        else:
            await _show_live(
                scores, user, titles, f"{settings.scores_topic} on {settings.bootstrap}"
            )


def _print(line: Callable[[Scored], str], batch: Iterable[Scored]) -> None:
    for scored in batch:
        print(line(scored))
    sys.stdout.flush()


async def _show_live(
    scores: AsyncGenerator[list[Scored], None],
    user: str | None,
    titles: Mapping[str, str],
    where: str,
) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    view: View = OneUser(user, where) if user else LatestUsers(where, max(3, console.height - 5))
    drawn_s = 0.0
    with Live(console=console, auto_refresh=False) as live:
        async for batch in scores:
            for scored in batch:
                if user in (None, scored.user_id):
                    view.add(titled(scored, titles))
            if time.monotonic() - drawn_s >= REFRESH_S:
                live.update(view.render(time.time_ns() // 1_000_000), refresh=True)
                drawn_s = time.monotonic()


async def read_scores(
    settings: KafkaSettings, *, from_beginning: bool
) -> AsyncGenerator[list[Scored], None]:
    """Scores as they come: a list at least every ``REFRESH_S``, which may be empty.

    Raises as ``watch`` does.
    """
    async with open_reader(settings, settings.scores_topic, "--scores-topic") as reader:
        await (reader.seek_to_beginning() if from_beginning else reader.seek_to_end())
        while True:
            records = await reader.poll(REFRESH_S)
            yield [_parse(record) for record in sorted(records, key=lambda r: r.timestamp)]


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


def json_line(scored: Scored) -> str:
    """A score as it stands in the topic, or a line that says that the user has none any more."""
    return orjson.dumps(scored.score or {"user_id": scored.user_id, scored.end: True}).decode()
