"""The views of `lately watch`: a line per score, a table of the latest users, one user's card."""

import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from model.data.titles import short_title
from model.printable import printable
from stream.commands.terminal import ACCENT, QUIET, age, bar, counted, percent

TOP_ITEMS = 3
TOP_CATEGORIES = 2


class Scored(NamedTuple):
    """One record of the scores topic; ``score`` follows its schema, None means that it is gone."""

    user_id: str
    at_ms: int
    score: dict[str, Any] | None
    expired: bool = False  # gone because the time to live is over, not because of a ``forget``

    @property
    def end(self) -> str:
        """Why there is no score any more."""
        return "expired" if self.expired else "forgotten"


def titled(scored: Scored, titles: Mapping[str, str]) -> Scored:
    """The same with titles after the ids of the items that have one."""
    if not titles or scored.score is None:
        return scored
    items = [
        {**item, "item_id": f"{item['item_id']} {short_title(titles, item['item_id'])}"}
        if item["item_id"] in titles
        else item
        for item in scored.score["items"]
    ]
    return scored._replace(score={**scored.score, "items": items})


class View(Protocol):
    """Collects scores, and renders them for a terminal."""

    def add(self, scored: Scored) -> None:
        """Add a score."""
        ...

    def render(self, now_ms: int) -> RenderableType:
        """The view, with the ages as of ``now_ms``."""
        ...


def plain_line(scored: Scored) -> str:
    """A score as one line of text."""
    clock = time.strftime("%H:%M:%S", time.localtime(scored.at_ms / 1000))
    start = f"{clock}.{scored.at_ms % 1000:03d}  {printable(scored.user_id)}"
    score = scored.score
    if score is None:
        return f"{start}  {scored.end}"
    parts = [_items(score), _categories(score), _intent(score), _facts(score)]
    return f"{start}  {' | '.join(parts)}"


class LatestUsers:
    """A table whose rows do not jump: a user keeps a row until a newer user needs it."""

    def __init__(self, where: str, rows: int) -> None:
        self._where = where
        self._rows: list[Scored | None] = [None] * rows
        self._row_of: dict[str, int] = {}
        self._count = 0

    def add(self, scored: Scored) -> None:
        """Show this score in its user's row, or in the row that was updated least recently."""
        self._count += 1
        row = self._row_of.get(scored.user_id)
        if row is None:
            row = min(range(len(self._rows)), key=self._last_update)
            if evicted := self._rows[row]:
                del self._row_of[evicted.user_id]
            self._row_of[scored.user_id] = row
        self._rows[row] = scored

    def _last_update(self, row: int) -> tuple[bool, int, int]:
        scored = self._rows[row]
        return scored is not None, scored.at_ms if scored else 0, row

    def render(self, now_ms: int) -> RenderableType:
        """The table, with the ages as of ``now_ms``."""
        table = Table(box=None, padding=(0, 2, 0, 0), header_style=QUIET, expand=True)
        table.add_column("user", no_wrap=True, max_width=20)
        table.add_column("wants", no_wrap=True, ratio=3)
        table.add_column("in", no_wrap=True, ratio=2)
        table.add_column("will", no_wrap=True)
        table.add_column("actions", justify="right")
        table.add_column("ago", justify="right", style=QUIET, no_wrap=True)
        for scored in filter(None, self._rows):
            table.add_row(*_cells(scored), age(now_ms - scored.at_ms))
        head = Text.assemble(
            (counted(self._count, "score"), "bold"), (f"  {self._where}   Ctrl-C ends", QUIET)
        )
        return Group(head, Text(), table)


class OneUser:
    """The latest score of one user, as bars."""

    def __init__(self, user_id: str, where: str) -> None:
        self._user_id = user_id
        self._where = where
        self._latest: Scored | None = None

    def add(self, scored: Scored) -> None:
        """Show this score from now on."""
        self._latest = scored

    def render(self, now_ms: int) -> RenderableType:
        """The card, with the age as of ``now_ms``."""
        user = printable(self._user_id)
        head = Text.assemble((user, "bold"), (f"  {self._where}   Ctrl-C ends", QUIET))
        if self._latest is None:
            return Group(head, Text(), Text("waiting for the next score", style=QUIET))
        ago = age(now_ms - self._latest.at_ms)
        score = self._latest.score
        if score is None:
            return Group(head, Text(), Text.assemble(self._latest.end, (f"  {ago}", QUIET)))
        facts = f"{_facts(score)}, model {printable(score['model']['version'])}, {ago}"
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for title, rows in _sections(score):
            for number, (name, probability) in enumerate(rows):
                label = Text(title if number == 0 else "", style=QUIET)
                share = Text(percent(probability), justify="right")
                table.add_row(label, Text(printable(name)), bar(probability, 24), share)
        return Group(head, Text(facts, style=QUIET), Text(), table)


def _sections(score: dict[str, Any]) -> list[tuple[str, list[tuple[str, float]]]]:
    return [
        ("wants", [(item["item_id"], item["score"]) for item in score["items"][:8]]),
        ("in", [(found["category"], found["score"]) for found in score["categories"][:4]]),
        (f"within {score['intent']['horizon_s'] // 60} min", _intents(score)),
    ]


def _cells(scored: Scored) -> list[RenderableType]:
    score = scored.score
    if score is None:
        return [Text(printable(scored.user_id)), Text(scored.end, style=QUIET), "", "", ""]
    # Never a plain string: Rich takes brackets in an id for its markup.
    return [
        Text(printable(scored.user_id), style=ACCENT),
        Text(_items(score)),
        Text(_categories(score, at_most=1)),
        Text(_intent(score)),
        str(score["n_events"]),
    ]


def _items(score: dict[str, Any]) -> str:
    best = score["items"][:TOP_ITEMS]
    return ", ".join(f"{printable(item['item_id'])} {percent(item['score'])}" for item in best)


def _categories(score: dict[str, Any], at_most: int = TOP_CATEGORIES) -> str:
    best = score["categories"][:at_most]
    return ", ".join(f"{printable(found['category'])} {percent(found['score'])}" for found in best)


def _intent(score: dict[str, Any]) -> str:
    return ", ".join(f"{printable(name)} {percent(share)}" for name, share in _intents(score))


def _facts(score: dict[str, Any]) -> str:
    return f"{counted(score['n_events'], 'action')}, {score['quality']}"


def _intents(score: dict[str, Any]) -> list[tuple[str, float]]:
    return [(name, p) for name, p in score["intent"].items() if name != "horizon_s"]
