"""The page of figures: ``python -m benchmarks.page`` writes docs/performance.md from the results.

It measures nothing. The plots are in a folder beside the page with its name.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import charts, results
from benchmarks.cost import Cost, Terms, cost
from benchmarks.results import Result
from benchmarks.summary import Figure as Spread
from benchmarks.summary import Ratio, by, figure, less, more
from benchmarks.workloads import WORKLOADS
from model.evaluation.plots import write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
MARK = "<!-- below: written by python -m benchmarks.page -->"
OURS = "Lately"
OURS_PLAIN = "Lately without the native core"
SERVING = ("scorer, native core", "scorer, ONNX Runtime")
BYTES_A_MB = 1_000_000

Draw = Callable[[], "Figure"]


def main(arguments: list[str] | None = None) -> int:
    """Write the results below the page's mark; the text above it stays."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("--page", type=Path, default=PAGE, help="[docs/performance.md]")
    for name, value in Terms()._asdict().items():
        flag = f"--{name.replace('_', '-')}"
        parser.add_argument(flag, type=float, default=value, help="of the costs [%(default)s]")
    results.add_option(parser)
    options = parser.parse_args(arguments)
    above, mark, _ = options.page.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        print(f"{options.page} has no line {MARK}", file=sys.stderr)
        return 1
    found = everything(options.results)
    if not found:
        print(f"nothing to write: no results in {options.results}", file=sys.stderr)
        return 1
    terms = Terms(*(getattr(options, name) for name in Terms._fields))
    blocks = [above.rstrip(), MARK, *sections(found, terms)]
    write(draws(found), options.page.with_suffix(""))
    options.page.write_text("\n\n".join(blocks) + "\n", encoding="utf-8")
    return 0


def everything(folder: Path) -> dict[str, Result]:
    """All results in the folder, by name."""
    names = sorted(path.stem for path in folder.glob("*.json"))
    loaded = ((name, results.load(name, folder)) for name in names)
    return {name: result for name, result in loaded if result}


def draws(found: dict[str, Result]) -> dict[str, Draw]:
    """The plots of these results, by the names of their files."""
    plots: dict[str, Draw] = {
        name: partial(charts.engines, found[name].rows) for name in _workloads(found)
    }
    if "scorer" in found:
        plots["scorer"] = partial(charts.scorers, found["scorer"].rows)
    return plots


def sections(found: dict[str, Result], terms: Terms) -> Iterator[str]:
    """The blocks below the mark, in order."""
    rest = dict(found)
    yield machines(list(found.values()))
    workloads = {name: rest.pop(name) for name in _workloads(found)}
    for name, result in workloads.items():
        yield from _engines(name, result)
    yield from _behind(workloads)
    if models := rest.pop("models", None):
        yield from _models(models)
    if kernel := rest.pop("kernel", None):
        yield from _kernel(kernel)
    if scorer := rest.pop("scorer", None):
        yield from _scorer(scorer)
        yield from _costs(scorer, workloads, terms)
    for result in rest.values():
        yield from _other(result)


def _workloads(found: dict[str, Result]) -> list[str]:
    return [name for name in (f"engine-{w}" for w in WORKLOADS) if name in found]


def machines(found: Sequence[Result]) -> str:
    """Where and with what the results were taken; it says so if that differs among them."""
    values: dict[str, dict[str, None]] = {}
    for result in found:
        memory = f"{result.machine['memory_bytes'] / 1e9:.0f} GB"
        fields = {
            "machine": f"{result.machine['cpus']} cores, {result.machine['processor']}, {memory}",
            "system": result.machine["system"],
            "load at the start": str(result.machine["load_at_start"]),
            "taken": result.taken_at[:10],
            **result.versions,
        }
        for field, value in fields.items():
            values.setdefault(field, {})[value] = None
    loads = [float(value) for value in values["load at the start"]]
    values["load at the start"] = {f"{min(loads):.1f} to {max(loads):.1f}": None}
    lines = [f"| {field} | {', '.join(several)} |" for field, several in values.items()]
    return "\n".join(["## Machine and versions", "", "| | |", "|---|---|", *lines])


def _command(result: Result) -> str:
    return f"```sh\n{result.command}\n```"


def _engines(name: str, result: Result) -> Iterator[str]:
    title = WORKLOADS[name.removeprefix("engine-")].title
    first, of_engine = result.rows[0], by(result.rows, "engine")
    rounds = max(row["round"] for row in result.rows)
    yield f"## The engine, {title}"
    yield _command(result)
    yield (
        f"Medians of {rounds} interleaved rounds, and the lowest and highest round. "
        f"{first['events']:,} measured events a run; the shares of the slow ones are in the table. "
        f"Every run's outputs and states were found right."
    )
    head = ["engine", "CPU per event, µs", "events/s", "memory, MB", "events", "outputs"]
    lines = []
    for engine, rows in of_engine.items():
        memory = figure(rows, "rss_bytes").median / BYTES_A_MB
        outputs = f"{figure(rows, 'outputs').median:,.0f}"
        cells = [_spread(figure(rows, "cpu_us"), 1), _spread(figure(rows, "rate"), 0)]
        lines.append([engine, *cells, f"{memory:,.0f}", f"{rows[0]['events']:,}", outputs])
    yield _table(head, lines)
    if ours := of_engine.get(OURS):
        head = ["Lately against", "CPU per event, times less", "events/s, times more"]
        others = [(engine, rows) for engine, rows in of_engine.items() if engine != OURS]
        lines = [
            [engine, _ratio(less(ours, rows, "cpu_us")), _ratio(more(ours, rows, "rate"))]
            for engine, rows in others
        ]
        yield _table(head, lines)
    yield f"![CPU per event and events/s of each engine, {title}](performance/{name}.svg)"


def _behind(workloads: dict[str, Result]) -> Iterator[str]:
    """Wherever another engine is better, by the medians."""
    lines = []
    for name, result in workloads.items():
        title = WORKLOADS[name.removeprefix("engine-")].title
        of_engine = by(result.rows, "engine")
        ours = of_engine.pop(OURS, None)
        of_engine.pop(OURS_PLAIN, None)
        if ours is None:
            continue
        for engine, rows in of_engine.items():
            better = [
                f"{1 / ratio:.2f} × {what}"
                for what, ratio in (
                    ("less CPU per event", less(ours, rows, "cpu_us").ratio),
                    ("the events/s", more(ours, rows, "rate").ratio),
                    ("less memory", less(ours, rows, "rss_bytes").ratio),
                )
                if ratio < 1
            ]
            if better:
                lines.append(f"- {title}: {engine} has {', '.join(better)}.")
    yield "## Where we are behind"
    yield "\n".join(lines) or "In none of the figures of the engines above, by the medians."


def _models(result: Result) -> Iterator[str]:
    """The worker beside its bare scorer."""
    yield "## The worker with a model"
    yield _command(result)
    yield (
        "CPU per score of the whole worker on a real Kafka, and of its scorer alone on users of "
        "the same log, in the same rounds: median, lowest and highest. The share is what the "
        "scorer alone takes of the worker's CPU."
    )
    lines = []
    for name, rows in by(result.rows, "model").items():
        worker, alone, rate = (
            figure(rows, field) for field in ("worker_us", "alone_us", "scores_per_s")
        )
        share = f"{alone.median / worker.median:.0%}"
        lines.append([name, _spread(worker, 1), _spread(alone, 1), share, _spread(rate, 0)])
    yield _table(["model", "worker, µs", "scorer alone, µs", "share", "scores/s"], lines)


def _scorer(result: Result) -> Iterator[str]:
    rows = result.rows
    yield "## The scorer alone"
    yield _command(result)
    yield (
        f"One core, {rows[0]['users']} users of {rows[0]['mean_length']:.1f} actions on average, "
        f"width {rows[0]['width']}; from sequences to names and probabilities. CPU per score in "
        "µs: median, lowest and highest round."
    )
    sizes = by(rows, "items")
    lines = []
    for name, own in by(rows, "scorer").items():
        of_size = by(own, "items")
        cells = [
            _spread(figure(of_size[size], "cpu_us"), 1) if size in of_size else "–"
            for size in sizes
        ]
        lines.append([name, *cells])
    yield _table(["", *(f"{int(size):,} items" for size in sizes)], lines)
    yield "![CPU per score by the number of items](performance/scorer.svg)"


def _kernel(result: Result) -> Iterator[str]:
    """Scores and best items of a whole catalogue, without encoder and answers."""
    yield "## The end of a score alone"
    yield _command(result)
    yield (
        "Scores of all items and the best of them, on one thread, by items and users in a batch; "
        "the kernel gives the normaliser too, as the softmax does. CPU per user in µs: median, "
        "lowest and highest round."
    )
    sizes = list(dict.fromkeys((row["items"], row["users"]) for row in result.rows))
    lines = []
    for name, own in by(result.rows, "engine").items():
        cells = []
        for size in sizes:
            rows = [row for row in own if (row["items"], row["users"]) == size]
            cells.append(_spread(figure(rows, "cpu_us"), 1) if rows else "–")
        lines.append([name, *cells])
    yield _table(["", *(f"{items:,} items, {users}" for items, users in sizes)], lines)


def _costs(scorer: Result, workloads: dict[str, Result], terms: Terms) -> Iterator[str]:
    """What a month costs by the size of the catalogue: the engine's CPU and the scorer's."""
    engine_us = 0.0
    for result in list(workloads.values())[:1]:
        ours = by(result.rows, "engine").get(OURS, [])
        engine_us = figure(ours, "cpu_us").median if ours else 0.0
    of_scorer = by(scorer.rows, "scorer")
    serving = next(name for name in SERVING if name in of_scorer)
    lines = []
    for size, rows in by(of_scorer[serving], "items").items():
        each_us = figure(rows, "cpu_us").median
        total: Cost = cost(each_us + engine_us, terms)
        cells = [f"{each_us:,.1f}", f"{engine_us:,.1f}", f"{total.cores:.2f}"]
        lines.append([f"{int(size):,}", *cells, f"{total.a_month:,.2f}"])
    yield "## Cost of a month and a million users"
    yield (
        f"As ETUDE lists it, by the size of the catalogue: CPU of an event in the engine and of a "
        f"score ({serving}), {terms.events_per_user_day:g} events a user and day with a score "
        f"each, cores for {terms.peak:g} times the average rate paid for all month, at "
        f"{terms.price_per_core_hour:g} a core and hour. The terms are arguments of "
        f"`python -m benchmarks.page`. Broker, disk and spare machines come on top."
    )
    head = ["items", "score, µs", "engine, µs", "cores at the peak", "cost of a month"]
    yield _table(head, lines)


def _other(result: Result) -> Iterator[str]:
    """Any other measurement as it is: a row a line."""
    yield f"## {result.name.replace('_', ' ').replace('-', ' ').capitalize()}"
    yield _command(result)
    fields = list(dict.fromkeys(field for row in result.rows for field in row))
    lines = [[_value(row.get(field)) for field in fields] for row in result.rows]
    yield _table([field.replace("_", " ") for field in fields], lines)


def _value(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.3g}"
    return value if isinstance(value, str) else json.dumps(value)


def _spread(spread: Spread, digits: int) -> str:
    middle, lowest, highest = (f"{value:,.{digits}f}" for value in spread)
    return f"{middle} ({lowest}–{highest})"


def _ratio(ratio: Ratio) -> str:
    return f"**{ratio.ratio:.2f}** ({ratio.lowest:.2f}–{ratio.highest:.2f})"


def _table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    rule = "|---" * len(head) + "|"
    return "\n".join(
        ["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(x) + " |" for x in lines)]
    )


if __name__ == "__main__":
    sys.exit(main())
