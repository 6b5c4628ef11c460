"""Medians, spread and ratios of the engines' runs, for the terminal and for the page."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple, Self

from benchmarks.results import Row


class Figure(NamedTuple):
    """The median of a figure over the rounds, and its extremes."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of one value a round."""
        return cls(median(values), min(values), max(values))


class Ratio(NamedTuple):
    """How much better the first engine is: above 1 it needs less, or does more in the time.

    The ratio is of the medians; the extremes are those of the ratios within the rounds.
    """

    ratio: float
    lowest: float
    highest: float


def by(rows: Sequence[Row], key: str) -> dict[str, list[Row]]:
    """The rows by one of their fields, in the order in which its values appear."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[key], []).append(row)
    return found


def figure(rows: Sequence[Row], name: str) -> Figure:
    """The median and spread of a field."""
    return Figure.of([row[name] for row in rows])


def less(ours: Sequence[Row], theirs: Sequence[Row], name: str) -> Ratio:
    """How many times less of a field we have than they."""
    rounds = [other / own for own, other in _rounds(ours, theirs, name)]
    ratio = figure(theirs, name).median / figure(ours, name).median
    return Ratio(ratio, min(rounds), max(rounds))


def more(ours: Sequence[Row], theirs: Sequence[Row], name: str) -> Ratio:
    """How many times more of a field we have than they."""
    rounds = [own / other for own, other in _rounds(ours, theirs, name)]
    ratio = figure(ours, name).median / figure(theirs, name).median
    return Ratio(ratio, min(rounds), max(rounds))


def _rounds(ours: Sequence[Row], theirs: Sequence[Row], name: str) -> list[tuple[float, float]]:
    other = _values(theirs, name)
    return [(own, other[turn]) for turn, own in _values(ours, name).items() if turn in other]


def _values(rows: Sequence[Row], name: str) -> Mapping[Any, float]:
    return {row["round"]: row[name] for row in rows}
