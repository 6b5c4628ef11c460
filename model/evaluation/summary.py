"""The summary of an evaluation: the verdict, and the figures that fit a terminal of 80 columns."""

import io

from rich.console import Console
from rich.text import Text

from model.evaluation.figures import Evaluation
from model.evaluation.report import Cells, Row, aligned, cells_of
from model.evaluation.verdict import METRIC, Verdict, best_rule, sentences
from model.printable import shortened

WIDTH = 79
NAME = 24  # cells of a name in the first column
ITEM_COLUMNS = {"n": "n", "recall@5": "R@5", "recall@20": "R@20", "mrr@20": "MRR@20"}
INTENT_COLUMNS = {
    "n": "n",
    "yes": "yes",
    "auc": "AUC",
    "log_loss": "log loss",
    "ece": "ECE",
    "f1": "F1",
}


def summary(evaluation: Evaluation, verdict: Verdict) -> str:
    """Three sentences, then next items, then groups of questions, then intents."""
    said = [_wrapped(line) for line in sentences(verdict)]
    tables = [_items(evaluation), _groups(evaluation, verdict.model), _intents(evaluation)]
    return "\n\n".join(["\n".join(said), *(aligned(rows) for rows in tables if len(rows) > 1)])


def _wrapped(sentence: str) -> str:
    """The sentence in lines, by cells: textwrap takes a wide character for one."""
    console = Console(width=WIDTH, file=io.StringIO())
    return "\n".join(line.plain.rstrip() for line in Text(sentence).wrap(console, WIDTH))


def _items(evaluation: Evaluation) -> list[Row]:
    rows = [["next item", *ITEM_COLUMNS.values(), "R@20, 95 %"]]
    for who, figures in evaluation.items["all"].items():
        interval: Cells = {METRIC: evaluation.item_intervals[who][METRIC]}
        cells = [*cells_of(figures, ITEM_COLUMNS), *cells_of(interval, [METRIC])]
        rows.append([f"  {shortened(who, NAME)}", *cells])
    return rows


def _groups(evaluation: Evaluation, model: str) -> list[Row]:
    rows = [["R@20 by group", "n", "model", "best rule", ""]]
    for group, figures in evaluation.items.items():
        own = figures[model]
        if group != "all" and own["n"]:
            best = best_rule(figures)
            found = [*cells_of(own, ["n", METRIC]), *cells_of(figures[best], [METRIC])]
            rows.append([f"  {group}", *found, best])
    return rows


def _intents(evaluation: Evaluation) -> list[Row]:
    rows = [["within the horizon", *INTENT_COLUMNS.values()]]
    for intent, figures in evaluation.intents.items():
        if any(cells["n"] for cells in figures.values()):
            name = shortened(intent, 2 * NAME)
            rows.append([f"{name}: yes from {evaluation.thresholds[intent].chance:.4f} on"])
            rows += [
                [f"  {shortened(who, NAME)}", *cells_of(cells, INTENT_COLUMNS)]
                for who, cells in figures.items()
            ]
    return rows
