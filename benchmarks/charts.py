"""The charts of the performance page: engines side by side, and CPU by number of items."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.results import Row
from benchmarks.summary import by, figure
from model.evaluation.plots import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

ROW_INCHES, WIDTH_INCHES, SCORER_INCHES = 0.34, 8.4, 3.4
OURS = "Lately"
PANELS = (("cpu_us", "CPU per event (µs), less is better"), ("rate", "events/s, more is better"))
COLOURS = {
    "scorer, native core": BLUE,
    "scorer, ONNX Runtime": ORANGE,
    "scorer, torch": "#009e73",
    "naive torch loop, batches of 32": GREY,
    "naive torch loop, batches of 128": "#b0b0b0",
}


def engines(rows: Sequence[Row]) -> "Figure":
    """The median of each engine and the range of its rounds, on logarithmic axes."""
    from matplotlib.figure import Figure

    of_engine = by(rows, "engine")
    names = sorted(of_engine, key=lambda name: -figure(of_engine[name], "cpu_us").median)
    figure_ = Figure(figsize=(WIDTH_INCHES, 1.0 + ROW_INCHES * len(names)), layout="constrained")
    panels = figure_.subplots(1, len(PANELS), sharey=True)
    for axes, (name, title) in zip(panels, PANELS, strict=True):
        for at, engine in enumerate(names):
            _dot(axes, at, of_engine[engine], name, BLUE if engine.startswith(OURS) else ORANGE)
        axes.set(title=title, xscale="log", yticks=range(len(names)), yticklabels=names)
        axes.margins(x=0.25, y=0.1)
        _plain(axes.xaxis)
    return figure_


def _dot(axes: "Axes", at: int, rows: Sequence[Row], name: str, colour: str) -> None:
    middle, lowest, highest = figure(rows, name)
    axes.plot([lowest, highest], [at, at], color=GREY, linewidth=1.2, marker="|")
    axes.plot([middle], [at], color=colour, marker="o", linestyle="")
    text = f"{middle:,.1f}" if middle < 1_000 else f"{middle:,.0f}"
    axes.annotate(
        text,
        (highest, at),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        fontsize="small",
    )


def scorers(rows: Sequence[Row]) -> "Figure":
    """CPU per score by the number of items, a line for each scorer."""
    from matplotlib.figure import Figure

    figure_ = Figure(figsize=(WIDTH_INCHES, SCORER_INCHES), layout="constrained")
    axes = figure_.subplots()
    for name, own in by(rows, "scorer").items():
        sizes = by(own, "items")
        values = [figure(of_size, "cpu_us").median for of_size in sizes.values()]
        axes.plot(list(sizes), values, marker="o", label=name, color=COLOURS.get(name))
    axes.set(xscale="log", yscale="log", xlabel="items", ylabel="CPU per score (µs)")
    _plain(axes.xaxis)
    _plain(axes.yaxis)
    axes.legend(loc="upper left")
    return figure_


def _plain(axis: "Axis") -> None:
    """Ticks of a logarithmic axis as plain numbers, so few that they do not touch."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 3.0), numticks=9))
    axis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axis.set_minor_formatter(NullFormatter())
