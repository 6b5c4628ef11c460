"""The command `lately watch`: shows scores to people at a terminal, and prints them to a pipe."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from pathlib import Path

import orjson

from model.data.titles import read_titles
from stream.commands.scores import REFRESH_S, follow_scores
from stream.commands.watch_view import LatestUsers, OneUser, Scored, View, plain_line, titled
from stream.settings import KafkaSettings


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
    when Kafka cannot be reached, at the start or for too long, TopicsError when the scores topic is
    missing or holds something else.
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
    scores = follow_scores(settings, from_beginning=from_beginning)
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


def json_line(scored: Scored) -> str:
    """A score as it stands in the topic, or a line that says that the user has none any more."""
    return orjson.dumps(scored.score or {"user_id": scored.user_id, scored.end: True}).decode()
