"""The plots of an evaluation: one function per figure, and the writer of the SVG files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.errors import DataError
from model.evaluation.curves import Delayed, Ints, Line, Reliability
from model.printable import shortened
from model.scratch import whole_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[[], "Figure"]

BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#8a8a8a"  # safe for colour blindness (Okabe & Ito)
PANEL_INCHES = 3.9
LONGEST = 24  # cells of a name in a title
STYLE: Any = {  # Any: matplotlib's type is a long list of literal names
    "axes.axisbelow": True,
    "axes.edgecolor": "#555555",
    "axes.grid": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": "medium",
    "font.size": 9.5,
    "grid.color": "#e4e4e4",
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "svg.hashsalt": "lately",  # otherwise equal plots would give different files
}


def learning_curve(epochs: Sequence[Mapping[str, float]]) -> "Figure":
    """Training loss and held-out recall and MRR by epoch."""
    from matplotlib.ticker import MaxNLocator

    with _panels(2) as (figure, (left, right)):
        numbers = [epoch["epoch"] for epoch in epochs]
        left.plot(numbers, [epoch["loss"] for epoch in epochs], marker="o", color=BLUE)
        left.set(title="Training loss", xlabel="epoch", ylabel="loss (nats)")
        for name, color, text in (("recall@20", BLUE, "Recall@20"), ("mrr@20", ORANGE, "MRR@20")):
            values = [epoch[name] for epoch in epochs]
            right.plot(numbers, values, marker="o", color=color, label=text)
        right.set(title="Held-out events", xlabel="epoch", ylabel="share", ylim=(0, None))
        right.legend()
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    return figure


def roc(intents: Mapping[str, Line]) -> "Figure":
    """True over false positive rate, one panel per intent."""
    with _panels(len(intents)) as (figure, panels):
        for axes, (intent, line) in zip(panels, intents.items(), strict=True):
            axes.plot([0, 1], [0, 1], "--", color=GREY, linewidth=1, label="by chance")
            axes.plot(line.x, line.y, color=BLUE, label=f"model, AUC {line.area:.3f}")
            _unit_square(
                axes, f"ROC: {_plain(intent)}", "false positive rate", "true positive rate"
            )
            axes.legend(loc="lower right")
    return figure


def precision_recall(intents: Mapping[str, tuple[Line, float]]) -> "Figure":
    """Precision over recall and the base rate, one panel per intent."""
    with _panels(len(intents)) as (figure, panels):
        for axes, (intent, (line, rate)) in zip(panels, intents.items(), strict=True):
            axes.axhline(rate, linestyle="--", color=GREY, linewidth=1, label="by chance")
            axes.plot(line.x, line.y, color=BLUE, label=f"model, AP {line.area:.3f}")
            _unit_square(axes, f"Precision and recall: {_plain(intent)}", "recall", "precision")
            axes.legend(loc="best")
    return figure


def confusion(intents: Mapping[str, tuple[Ints, float]]) -> "Figure":
    """The confusion matrix, one panel per intent: counts, and shares of each row."""
    with _panels(len(intents)) as (figure, panels):
        for axes, (intent, (counts, threshold)) in zip(panels, intents.items(), strict=True):
            shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
            axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            for (row, column), share in np.ndenumerate(shares):
                color = "white" if share > 0.5 else "black"
                text = f"{counts[row, column]:,}\n{share:.1%}"
                axes.text(column, row, text, ha="center", va="center", color=color)
            axes.set(
                title=f"{_plain(intent)}: yes from a chance of {threshold:.3f} on",
                xlabel="said",
                ylabel="came true",
                xticks=[0, 1],
                yticks=[0, 1],
                xticklabels=["no", "yes"],
                yticklabels=["no", "yes"],
            )
            axes.grid(visible=False)
    return figure


def reliability(intents: Mapping[str, tuple[Reliability, float]]) -> "Figure":
    """Observed over predicted probability, one panel per intent."""
    with _panels(len(intents)) as (figure, panels):
        for axes, (intent, (bins, ece)) in zip(panels, intents.items(), strict=True):
            highest = max(bins.predicted.max(initial=0), bins.observed.max(initial=0), 0.01)
            most = 1.05 * highest
            axes.plot([0, most], [0, most], "--", color=GREY, linewidth=1, label="perfect")
            label = f"model, ECE {ece:.3f}"
            axes.plot(bins.predicted, bins.observed, marker="o", color=BLUE, label=label)
            axes.set(
                title=f"Reliability: {_plain(intent)}",
                xlabel="chance given (bins of equally many)",
                ylabel="share that came true",
                xlim=(0, most),
                ylim=(0, most),
            )
            axes.legend(loc="upper left")
    return figure


def recall_by_delay(points: Sequence[Delayed]) -> "Figure":
    """Recall@20 by the delay of the state, with 95 % intervals."""
    with _panels(1) as (figure, (axes,)):
        positions = range(len(points))
        recalls = [point.recall for point in points]
        axes.fill_between(
            positions,
            [point.low for point in points],
            [point.high for point in points],
            color=BLUE,
            alpha=0.15,
            linewidth=0,
            label="95 % over users",
        )
        axes.plot(positions, recalls, marker="o", color=BLUE, label="model")
        axes.set_xticks(list(positions), [_span(point.delay_s) for point in points])
        axes.set(
            title=f"What a late state costs ({points[0].questions:,} questions)",
            xlabel="delay of the state",
            ylabel="Recall@20",
            ylim=(0, None),
        )
        axes.legend()
    return figure


def svg(draw: Draw) -> str:
    """Draw a figure as SVG; equal figures give equal texts."""
    import matplotlib as mpl

    drawn = StringIO()
    with mpl.rc_context(STYLE):
        draw().savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()


def write(figures: Mapping[str, Draw], folder: Path) -> list[Path]:
    """Draw each figure into ``folder/NAME.svg``; raises ``DataError`` if it cannot be written."""
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, draw in figures.items():
            paths.append(folder / f"{name}.svg")
            with whole_file(paths[-1]) as part:
                part.write_text(svg(draw), encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"{folder}: plots cannot be written ({error.strerror}); name another folder"
        ) from None
    return paths


@contextmanager
def _panels(count: int) -> "Iterator[tuple[Figure, Sequence[Axes]]]":
    import matplotlib as mpl
    from matplotlib.figure import Figure  # not pyplot, which keeps figures and needs a display

    with mpl.rc_context(STYLE):
        size = (PANEL_INCHES * 1.15 * count, PANEL_INCHES)
        figure = Figure(figsize=size, layout="constrained")
        yield figure, list(figure.subplots(1, count, squeeze=False)[0])


def _plain(name: str) -> str:
    """A name as matplotlib draws it: it takes what stands between two dollars for a formula."""
    return shortened(name, LONGEST).replace("$", r"\$")


def _unit_square(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set(title=title, xlabel=x, ylabel=y, xlim=(0, 1), ylim=(0, 1.01), aspect="equal")


def _span(seconds: int) -> str:
    return f"{seconds} s" if seconds < 60 else f"{seconds // 60} min"
