"""Terminal formatting shared by the live views: probabilities, ages, bars and counts."""

import math

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

ACCENT = "cyan"
GOOD = "green"
QUIET = "bright_black"


def percent(probability: float) -> str:
    """A probability in whole percents, halves up; what is not certain is never 0 % or 100 %."""
    whole = math.floor(100 * probability + 0.5)
    if whole == 0 and probability > 0:
        return "<1 %"
    return ">99 %" if whole == 100 and probability < 1 else f"{whole} %"


def age(elapsed_ms: float) -> str:
    """An age in the largest unit that fits."""
    seconds = int(elapsed_ms / 1000)
    if seconds < 1:
        return "now"
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h"


def bar(share: float, width: int, style: str = ACCENT) -> Text:
    """A bar of ``width`` cells, ``share`` of them lit; a small share lights at least one."""
    lit = min(width, max(round(share * width), 1 if share > 0 else 0))
    return Text.assemble(("━" * lit, style), ("─" * (width - lit), QUIET))


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless the number is 1."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def cut(title: str, width: int) -> str:
    """A title of at most so many cells; what stands behind its last comma, as a colour, stays."""
    if cell_len(title) <= width:
        return title
    head, comma, tail = title.rpartition(", ")
    left = width - cell_len(f"…{comma}{tail}")
    if comma and left >= width // 3:
        return f"{set_cell_size(head, left).rstrip()}…{comma}{tail}"
    return f"{set_cell_size(title, max(width - 1, 0)).rstrip()}…"


class CutTitle:
    """A title behind a few words, cut to the cell of the table that it gets."""

    def __init__(self, before: Text, title: str, style: str = "") -> None:
        self._before, self._title, self._style = before, title, style

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> RenderResult:
        left = options.max_width - self._before.cell_len
        yield Text.assemble(self._before, (cut(self._title, left), self._style), no_wrap=True)

    def __rich_measure__(self, _console: Console, options: ConsoleOptions) -> Measurement:
        return Measurement(1, min(options.max_width, self._before.cell_len + cell_len(self._title)))
