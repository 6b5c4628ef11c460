"""The plots of the page: a bar chart of the figures, learning curves and reliability."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.quality.report import Kind, Row, rows
from model.evaluation import plots
from model.evaluation.curves import Reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS: Mapping[Kind, str] = {
    "model": plots.BLUE,
    "peer": plots.ORANGE,
    "baseline": plots.GREY,
    "published": "#d0d0d0",
}
LABELS: Mapping[Kind, str] = {
    "model": "ours",
    "peer": "another library, same run",
    "baseline": "baseline",
    "published": "published",
}
ROW_INCHES, WIDTH_INCHES = 0.27, 8.4


def figures(report: Mapping[str, Any]) -> dict[str, Callable[[], "Figure"]]:
    """The figures that can be drawn for a report, by subject."""
    found: dict[str, Callable[[], Figure]] = {"standing": partial(standing, report)}
    learning = report.get("learning", [])
    if learning and learning[0]:
        found["learning"] = partial(plots.learning_curve, learning[0])
    runs = report.get("buy", {}).get("whole", [])
    if runs and "reliability" in runs[0]:
        bins = Reliability(*(np.array(runs[0]["reliability"][name]) for name in ("said", "came")))
        found["reliability"] = partial(plots.reliability, {"buy": (bins, runs[0]["ece"])})
    return found


def standing(report: Mapping[str, Any]) -> "Figure":
    """A bar for each row of the report, one panel per metric; the best are on top."""
    from matplotlib.figure import Figure

    names = list(report["model"])
    ordered = sorted(rows(report), key=lambda row: row.figures[0])
    size = (WIDTH_INCHES, 1.1 + ROW_INCHES * len(ordered))
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for column, (axes, name) in enumerate(zip(panels, names, strict=True)):
        _bars(axes, ordered, column)
        axes.set(title=name, ylim=(-0.6, len(ordered) - 0.4))
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    kinds = [kind for kind in LABELS if any(row.kind == kind for row in ordered)]
    handles = [
        next(bar for bar, row in zip(panels[0].patches, ordered, strict=True) if row.kind == kind)
        for kind in kinds
    ]
    figure.legend(
        handles, [LABELS[kind] for kind in kinds], loc="outside lower center", ncols=len(kinds)
    )
    return figure


def _bars(axes: "Axes", ordered: list[Row], column: int) -> None:
    values = [row.figures[column] for row in ordered]
    axes.barh([row.who for row in ordered], values, color=[COLOURS[row.kind] for row in ordered])
    digits = 4 if max(values) <= 1 else 1
    for at, (row, value) in enumerate(zip(ordered, values, strict=True)):
        end = value
        if row.runs:
            low, end = row.least[column], row.most[column]
            axes.plot([low, end], [at, at], color="black", linewidth=1.2, marker="|")
        axes.annotate(
            f"{value:.{digits}f}",
            (end, at),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize="small",
        )
    axes.margins(x=0.22)  # space for the numbers
