"""Panels and rows, as the rows of the dashboard define them, and their thresholds."""

from dataclasses import dataclass

Steps = tuple[tuple[float | None, str], ...]  # each colour counts from its value up


def rising(warn: float, bad: float) -> Steps:
    """Green, yellow from ``warn``, red from ``bad``, where the alert is if there is one."""
    return ((None, "green"), (warn, "yellow"), (bad, "red"))


def falling(warn: float, bad: float) -> Steps:
    """Green, yellow below ``warn``, red below ``bad``."""
    return ((None, "red"), (bad, "yellow"), (warn, "green"))


@dataclass(frozen=True, slots=True)
class Panel:
    """One panel: ``queries`` maps a legend to a PromQL expression; ``steps`` are its thresholds."""

    title: str
    description: str
    queries: dict[str, str]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    height: int = 8
    steps: Steps = ()
    shows_legend: bool = False  # a stat that shows the legend in place of the value


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: tuple[Panel, ...]
