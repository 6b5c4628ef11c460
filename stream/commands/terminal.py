"""Terminal formatting shared by the live views: probabilities, ages, bars and counts."""

import math

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
