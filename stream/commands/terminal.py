"""The pen that the live views share: how a probability, an age and a bar look."""

from rich.text import Text

ACCENT = "cyan"
GOOD = "green"
QUIET = "bright_black"


def percent(probability: float) -> str:
    """A probability for people: whole percents, and an honest word for nearly nothing."""
    if 0 < probability < 0.005:
        return "<1 %"
    return f"{100 * probability:.0f} %"


def age(passed_ms: float) -> str:
    """How long ago, in the largest unit that fits."""
    seconds = int(passed_ms / 1000)
    if seconds < 1:
        return "now"
    if seconds < 60:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 3600 else f"{seconds // 3600} h"


def bar(share: float, width: int, style: str = ACCENT) -> Text:
    """A line of ``width`` cells, of which ``share`` is lit; a little is never drawn as nothing."""
    lit = min(width, max(round(share * width), 1 if share > 0 else 0))
    return Text.assemble(("━" * lit, style), ("─" * (width - lit), QUIET))


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural where it belongs."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
