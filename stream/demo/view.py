"""What the demo shows: its steps, a few shoppers, the figures, and the summary at the end."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stream.commands.terminal import ACCENT, GOOD, QUIET, bar, counted, percent
from stream.demo.tally import TOP, Latency, Tally

SHOWN = 3  # lines a shopper: that many doings, and that many wishes
LEFT_AFTER_S = 20.0
FRESH_S = 1.5  # what was just done stands out for so long
WIDTH = 118
TELL_EVERY_S = 2.0
ACTION_STYLES = {"click": QUIET, "cart": "yellow", "buy": GOOD}


class Doing(NamedTuple):
    """One thing a shopper did; ``foreseen``: it was in the top 20 of the score before."""

    action: str
    item: str
    foreseen: bool
    at_s: float


class Stage:
    """The few shoppers that are shown: one who goes on acting stays in place."""

    def __init__(self, places: int) -> None:
        self._places: list[str | None] = [None] * places
        self._doings: dict[str, deque[Doing]] = {}
        self._scores: dict[str, dict[str, Any]] = {}
        self._latest: deque[str] = deque(maxlen=50)

    def did(self, user_id: str, doing: Doing) -> None:
        """A shopper did something."""
        self._doings.setdefault(user_id, deque(maxlen=SHOWN)).appendleft(doing)
        self._latest.append(user_id)

    def wants(self, user_id: str, score: dict[str, Any]) -> None:
        """A score has come."""
        self._scores[user_id] = score

    def shoppers(self, now_s: float) -> Iterator[tuple[str, list[Doing], dict[str, Any]]]:
        """Who is on stage now, from top to bottom; whoever has left makes room."""
        for place, user in enumerate(self._places):
            if user is None or now_s - self._doings[user][0].at_s > LEFT_AFTER_S:
                self._places[place] = next(self._newcomers(), user)
        for user in filter(None, self._places):
            yield user, list(self._doings[user]), self._scores[user]

    def _newcomers(self) -> Iterator[str]:
        for user in reversed(self._latest):
            if user in self._scores and user not in self._places:
                yield user


class Progress(NamedTuple):
    """How far the demo is."""

    passed_s: float
    seconds: float | None


class Screen:
    """Where the demo is shown: drawn at a terminal, told line by line elsewhere."""

    def __init__(self, titles: Mapping[str, str], console: Console | None = None) -> None:
        self._titles = titles
        self._console = console or Console(highlight=False)
        if self._console.width > WIDTH or not self._console.is_terminal:
            self._console.width = WIDTH
        self._told_s = 0.0

    @property
    def places(self) -> int:
        """How many shoppers there is room for."""
        return max(1, min(5, (self._console.height - 9) // (SHOWN + 1)))

    @contextmanager
    def step(self, name: str, doing: str) -> Iterator[Callable[[str], None]]:
        """Show a step of the start while it lasts, then what came of it and how long it took."""
        console, begun_s, said = self._console, time.monotonic(), [doing]
        if console.is_terminal:
            with console.status(Text.assemble((f"{name:<9} ", "bold"), (doing, QUIET))):
                yield said.append
        else:
            yield said.append
        took = f"{time.monotonic() - begun_s:.1f} s"
        line = Text.assemble(("✓ ", GOOD), (f"{name:<9} ", "bold"), f"{said[-1]}  ", (took, QUIET))
        console.print(line)

    @contextmanager
    def live(self) -> Iterator[Callable[[Stage, Tally, Progress], None]]:
        """Give the function that shows how things stand; call it a few times a second."""
        if not self._console.is_terminal:
            yield self._tell
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            yield lambda stage, tally, progress: live.update(
                frame(stage, tally, self._titles, progress, time.monotonic()), refresh=True
            )

    def _tell(self, stage: Stage, tally: Tally, progress: Progress) -> None:
        now_s = time.monotonic()
        events_per_s, scores_per_s = tally.rates(now_s)
        if now_s < self._told_s + TELL_EVERY_S:
            return
        self._told_s = now_s
        foresight = tally.foresight
        self._console.print(
            f"{progress.passed_s:4.0f} s  {tally.events:,} events {events_per_s:.0f}/s  "
            f"{tally.scores:,} scores {scores_per_s:.0f}/s  "
            f"{' '.join(_latency(tally.latency(recent=True)))}  next click in the top {TOP}: "
            f"{percent(foresight.share)}, popularity {percent(foresight.popularity[0])}"
        )

    def summary(self, tally: Tally) -> None:
        """The figures of the whole run, and whether every event was scored."""
        foresight = tally.foresight
        baseline, kind = foresight.popularity
        table = Table.grid(padding=(0, 3, 0, 0))
        table.add_column(style=QUIET, no_wrap=True)
        live = tally.events - tally.history
        table.add_row("events", f"{tally.events:,}", f"{tally.history:,} before, {live:,} live")
        table.add_row("users", f"{tally.users:,}")
        table.add_row("scores", f"{tally.scores:,}", "one may answer several events of a user")
        table.add_row("event to score", *_latency(tally.latency()))
        table.add_row(
            f"next click in top {TOP}",
            percent(foresight.share),
            f"popularity ({kind}) {percent(baseline)}, of {counted(foresight.clicks, 'click')}",
        )
        self._console.print(Text("\nSummary", style="bold"), table, _verdict(tally))


def frame(
    stage: Stage, tally: Tally, titles: Mapping[str, str], progress: Progress, now_s: float
) -> Group:
    """The live view."""
    total = f" of {progress.seconds:g}" if progress.seconds else ""
    head = Table.grid(expand=True)
    head.add_column(no_wrap=True)
    head.add_column(justify="right", no_wrap=True, style=QUIET)
    head.add_row(
        Text.assemble(("Lately", f"bold {ACCENT}"), ("  what each shopper is into, lately", QUIET)),
        f"{progress.passed_s:.0f}{total} s   Ctrl-C ends",
    )
    labels = _columns()
    did = Text.assemble("just did  ", ("✓", GOOD), " as foreseen", style=QUIET)
    labels.add_row("", did, "wants now", style=QUIET)
    blocks: list[RenderableType] = [Text(), head, Text(), labels]
    for user, doings, score in stage.shoppers(now_s):
        block = _columns()
        for cells in zip(
            _about(user, score),
            _did(doings, titles, now_s),
            _wants(score, titles),
            strict=True,
        ):
            block.add_row(*cells)
        blocks += [block, Text()]
    return Group(*blocks, _figures(tally, now_s))


def _columns() -> Table:
    table = Table.grid(expand=True, padding=(0, 2, 0, 0))
    table.add_column(width=20, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True)
    table.add_column(ratio=1, no_wrap=True)
    return table


def _about(user: str, score: dict[str, Any]) -> Iterator[Text]:
    yield Text(user, style="bold")
    best = score["categories"][:1]
    yield Text.assemble(*((f"{c['category']} {percent(c['score'])}", ACCENT) for c in best))
    buys = score["intent"].get("buy", 0.0)
    yield Text.assemble(("buys ", QUIET), bar(buys, 8, GOOD), f" {percent(buys)}")


def _did(doings: list[Doing], titles: Mapping[str, str], now_s: float) -> Iterator[Text]:
    for doing in doings:
        mark = ("✓ ", GOOD) if doing.foreseen else "  "
        action = (f"{doing.action:<6}", ACTION_STYLES.get(doing.action, QUIET))
        title = (titles.get(doing.item, doing.item), _freshness(doing, now_s))
        yield Text.assemble(mark, action, title, overflow="ellipsis")
    for _ in range(SHOWN - len(doings)):
        yield Text()


def _freshness(doing: Doing, now_s: float) -> str:
    return "bold" if now_s - doing.at_s < FRESH_S else ""


def _wants(score: dict[str, Any], titles: Mapping[str, str]) -> Iterator[Text]:
    best = score["items"][:SHOWN]
    for item in best:
        name = titles.get(item["item_id"], item["item_id"])
        yield Text.assemble((f"{percent(item['score']):>5}  ", ACCENT), name, overflow="ellipsis")
    for _ in range(SHOWN - len(best)):
        yield Text()


def _figures(tally: Tally, now_s: float) -> Group:
    events_per_s, scores_per_s = tally.rates(now_s)
    table = Table.grid(padding=(0, 3, 0, 0))
    table.add_row(
        _figure("events", f"{tally.events:,}", f"{events_per_s:.0f}/s"),
        _figure("scores", f"{tally.scores:,}", f"{scores_per_s:.0f}/s"),
        _figure("event to score", *_latency(tally.latency(recent=True))),
    )
    return Group(table, _foresight(tally))


def _figure(label: str, *values: str) -> Text:
    return Text.assemble((f"{label} ", QUIET), "  ".join(values))


def _foresight(tally: Tally) -> Text:
    foresight = tally.foresight
    baseline, _ = foresight.popularity
    return Text.assemble(
        (f"next click in the top {TOP}  ", QUIET),
        bar(foresight.share, 12, GOOD),
        (f" {percent(foresight.share)}", "bold"),
        ("   popularity's  ", QUIET),
        bar(baseline, 12),
        f" {percent(baseline)}",
    )


def _latency(latency: Latency | None) -> tuple[str, ...]:
    if latency is None:
        return ("—",)
    return f"p50 {latency.p50_s * 1000:.0f} ms", f"p99 {latency.p99_s * 1000:.0f} ms"


def _verdict(tally: Tally) -> Text:
    if not tally.unscored:
        return Text("✓ every event sent was scored", style=GOOD)
    users = tally.missing()
    named = ", ".join(users[:5]) + (", …" if len(users) > 5 else "")
    events = counted(tally.unscored, "event")
    return Text(f"✗ {events} of {counted(len(users), 'user')} not scored: {named}", style="red")
