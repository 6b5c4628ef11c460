"""The demo's view: its steps, a few shoppers, the figures, and the summary at the end."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from stream.commands.terminal import ACCENT, GOOD, QUIET, CutTitle, age, bar, counted, percent
from stream.demo.next_steps import NextStep
from stream.demo.tally import TOP, Latency, Tally

SHOWN = 3  # lines per shopper: the last actions, and the best items
LEFT_AFTER_S = 20.0
FRESH_S = 1.5  # how long a new action stands out
WIDTH = 118  # of what is no terminal
WHO_WIDTH = 31  # of the column with the shopper
NARROW = 79  # with less, what a shopper did is left out: there is no room for two titles
NARROWER = 56  # with less, what a shopper wants stands under the shopper
PRINT_EVERY_S = 2.0
ACTION_STYLES = {"click": QUIET, "cart": "yellow", "buy": GOOD}


class Action(NamedTuple):
    """One action of a shopper; ``predicted``: its item was in the top 20 of the latest score."""

    name: str
    item: str
    predicted: bool
    at_s: float


class VisibleShoppers:
    """The few shoppers that are shown; one who remains active keeps the same position."""

    def __init__(self, count: int) -> None:
        self._shown: list[str | None] = [None] * count
        self._actions: dict[str, deque[Action]] = {}
        self._scores: dict[str, dict[str, Any]] = {}
        self._recent: deque[str] = deque(maxlen=50)

    def add_action(self, user_id: str, action: Action) -> None:
        """Record what a shopper did."""
        self._actions.setdefault(user_id, deque(maxlen=SHOWN)).appendleft(action)
        self._recent.append(user_id)

    def add_score(self, user_id: str, score: dict[str, Any]) -> None:
        """Record a shopper's latest score."""
        self._scores[user_id] = score

    def rows(self, now_s: float) -> Iterator[tuple[str, list[Action], dict[str, Any]]]:
        """The shoppers to show now, from top to bottom; replaces those who have left."""
        for position, user in enumerate(self._shown):
            if user is None or now_s - self._actions[user][0].at_s > LEFT_AFTER_S:
                self._shown[position] = next(self._candidates(), user)
        for user in filter(None, self._shown):
            yield user, list(self._actions[user]), self._scores[user]

    def _candidates(self) -> Iterator[str]:
        for user in reversed(self._recent):
            if user in self._scores and user not in self._shown:
                yield user


class Progress(NamedTuple):
    """Seconds since the demo went live, and how many it runs; None is until Ctrl-C."""

    elapsed_s: float
    seconds: float | None


class Screen:
    """Shows the demo: a live view on a terminal, lines of text anywhere else."""

    def __init__(self, titles: Mapping[str, str], console: Console | None = None) -> None:
        self._titles = titles
        self._console = console or Console(highlight=False)
        if not self._console.is_terminal:
            self._console.width = WIDTH
        self._printed_s = 0.0

    @property
    def shopper_count(self) -> int:
        """How many shoppers fit on the screen."""
        narrower = self._console.width < NARROWER
        lines = 2 * SHOWN + 1 if narrower else SHOWN + 1
        return max(1, (self._console.height - (12 if narrower else 9)) // lines)

    @contextmanager
    def step(self, name: str, activity: str) -> Iterator[Callable[[str], None]]:
        """Show a step while it runs, then its result and how long it took.

        Yields the function that reports the result.
        """
        console, started_s, results = self._console, time.monotonic(), [activity]
        if console.is_terminal:
            with console.status(Text.assemble((f"{name:<9} ", "bold"), (activity, QUIET))):
                yield results.append
        else:
            yield results.append
        took = f"{time.monotonic() - started_s:.1f} s"
        line = Text.assemble(
            ("✓ ", GOOD), (f"{name:<9} ", "bold"), f"{results[-1]}  ", (took, QUIET)
        )
        console.print(line)

    @contextmanager
    def live(self) -> Iterator[Callable[[VisibleShoppers, Tally, Progress], None]]:
        """Yields the function that updates the view; call it a few times a second."""
        if not self._console.is_terminal:
            yield self._print_figures
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            yield lambda shoppers, tally, progress: live.update(
                live_view(
                    shoppers, tally, self._titles, progress, time.monotonic(), self._console.width
                ),
                refresh=True,
            )

    def _print_figures(self, _shoppers: VisibleShoppers, tally: Tally, progress: Progress) -> None:
        now_s = time.monotonic()
        events_per_s, scores_per_s = tally.rates(now_s)
        if now_s < self._printed_s + PRINT_EVERY_S:
            return
        self._printed_s = now_s
        hit_rate = tally.hit_rate
        self._console.print(
            f"{progress.elapsed_s:4.0f} s  {tally.events:,} events {events_per_s:.0f}/s  "
            f"{tally.scores:,} scores {scores_per_s:.0f}/s  "
            f"{' '.join(_latency(tally.latency(recent=True)))}  next click in the top {TOP}: "
            f"{percent(hit_rate.rate)}, popularity {percent(hit_rate.baseline[0])}"
        )

    def summary(self, tally: Tally, then: Sequence[NextStep] = ()) -> None:
        """The figures of the whole run, whether every event was scored, and what to do next."""
        hit_rate = tally.hit_rate
        baseline, kind = hit_rate.baseline
        table = Table.grid(padding=(0, 3, 0, 0))
        table.add_column(style=QUIET, no_wrap=True)
        live = tally.events - tally.history
        table.add_row("events", f"{tally.events:,}", f"{tally.history:,} before, {live:,} live")
        table.add_row("users", f"{tally.users:,}")
        table.add_row("scores", f"{tally.scores:,}", "one may answer several events of a user")
        table.add_row("event to score", *_latency(tally.latency()))
        table.add_row(
            f"next click in top {TOP}",
            percent(hit_rate.rate),
            f"popularity ({kind}) {percent(baseline)}, of {counted(hit_rate.clicks, 'click')}",
        )
        self._console.print(Text("\nSummary", style="bold"), table, _verdict(tally))
        if then:
            self._console.print(Text("\nNext", style="bold"))
        for step in then:
            self._console.print(_next_step(step), soft_wrap=True)  # so that it can be copied


def live_view(
    shoppers: VisibleShoppers,
    tally: Tally,
    titles: Mapping[str, str],
    progress: Progress,
    now_s: float,
    width: int = WIDTH,
) -> Group:
    """The live view, in so many columns."""
    total = f" of {progress.seconds:g}" if progress.seconds else ""
    head = Table.grid(expand=True)
    head.add_column(no_wrap=True)
    head.add_column(justify="right", no_wrap=True, style=QUIET)
    head.add_row(
        Text.assemble(("Lately", f"bold {ACCENT}"), ("  what each shopper is into, lately", QUIET)),
        f"{progress.elapsed_s:.0f}{total} s   Ctrl-C ends",
    )
    blocks: list[RenderableType] = [Text(), head, Text(), *_labels(width)]
    for user, actions, score in shoppers.rows(now_s):
        who, wants = list(_user_lines(user, score)), list(_item_lines(score, titles))
        if width < NARROWER:
            blocks += [*who, *wants, Text()]
            continue
        did = [_action_lines(actions, titles, now_s)] if width >= NARROW else []
        block = _columns(len(did) + 1)
        for cells in zip(who, *did, wants, strict=True):
            block.add_row(*cells)
        blocks += [block, Text()]
    return Group(*blocks, _figures(tally, now_s))


def _labels(width: int) -> Iterator[Table]:
    if width < NARROWER:
        return
    did = Text.assemble("just did  ", ("✓", GOOD), " predicted", style=QUIET)
    names = [did, "wants now"] if width >= NARROW else ["wants now"]
    labels = _columns(len(names))
    labels.add_row("", *names, style=QUIET)
    yield labels


def _columns(titles: int) -> Table:
    table = Table.grid(expand=True, padding=(0, 2, 0, 0))
    table.add_column(width=WHO_WIDTH, no_wrap=True)
    for _ in range(titles):
        table.add_column(ratio=1, no_wrap=True)
    return table


def _user_lines(user: str, score: dict[str, Any]) -> Iterator[Text]:
    yield Text(user, style="bold")
    best = score["categories"][:1]
    yield Text.assemble(*((f"{c['category']} {percent(c['score'])}", ACCENT) for c in best))
    buys, within = score["intent"].get("buy", 0.0), age(score["intent"]["horizon_s"] * 1000)
    label = (f"buys within {within} ", QUIET)
    yield Text.assemble(label, bar(buys, 7, GOOD), f" {percent(buys)}")


def _action_lines(
    actions: list[Action], titles: Mapping[str, str], now_s: float
) -> Iterator[RenderableType]:
    for action in actions:
        mark = ("✓ ", GOOD) if action.predicted else "  "
        name = (f"{action.name:<6}", ACTION_STYLES.get(action.name, QUIET))
        title = titles.get(action.item, action.item)
        yield CutTitle(Text.assemble(mark, name), title, _title_style(action, now_s))
    for _ in range(SHOWN - len(actions)):
        yield Text()


def _title_style(action: Action, now_s: float) -> str:
    return "bold" if now_s - action.at_s < FRESH_S else ""


def _item_lines(score: dict[str, Any], titles: Mapping[str, str]) -> Iterator[RenderableType]:
    best = score["items"][:SHOWN]
    for item in best:
        name = titles.get(item["item_id"], item["item_id"])
        yield CutTitle(Text(f"{percent(item['score']):>5}  ", ACCENT), name)
    for _ in range(SHOWN - len(best)):
        yield Text()


def _figures(tally: Tally, now_s: float) -> Group:
    events_per_s, scores_per_s = tally.rates(now_s)
    figures = (
        _figure("events", f"{tally.events:,}", f"{events_per_s:.0f}/s"),
        _figure("scores", f"{tally.scores:,}", f"{scores_per_s:.0f}/s"),
        _figure("event to score", *_latency(tally.latency(recent=True))),
    )
    return Group(Columns(figures, padding=(0, 3)), _hit_rate(tally))


def _figure(label: str, *values: str) -> Text:
    return Text.assemble((f"{label} ", QUIET), "  ".join(values), no_wrap=True)


def _hit_rate(tally: Tally) -> Text:
    rate, (baseline, _) = tally.hit_rate.rate, tally.hit_rate.baseline
    return Text.assemble(
        (f"next click in the top {TOP}  ", QUIET),
        bar(rate, 12, GOOD),
        (f" {percent(rate)}", "bold"),
        ("   popularity's  ", QUIET),
        bar(baseline, 12),
        f" {percent(baseline)}",
    )


def _latency(latency: Latency | None) -> tuple[str, ...]:
    if latency is None:
        return ("—",)
    return f"p50 {latency.p50_s * 1000:.0f} ms", f"p99 {latency.p99_s * 1000:.0f} ms"


def _next_step(step: NextStep) -> Text:
    return Text.assemble(step.command, (f"   {step.purpose}", QUIET))


def _verdict(tally: Tally) -> Text:
    if not tally.unscored:
        return Text("✓ every event sent was scored", style=GOOD)
    users = tally.unscored_users()
    named = ", ".join(users[:5]) + (", …" if len(users) > 5 else "")
    events = counted(tally.unscored, "event")
    return Text(f"✗ {events} of {counted(len(users), 'user')} not scored: {named}", style="red")
