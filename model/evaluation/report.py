"""The report of an evaluation: its figures as aligned text tables."""

from collections.abc import Iterable, Mapping

from rich.cells import cell_len

from model.evaluation.bootstrap import Interval
from model.evaluation.figures import Evaluation
from model.evaluation.metrics import CUTOFFS
from model.printable import printable

ITEM_COLUMNS = {
    "n": "n",
    **{f"recall@{k}": f"R@{k}" for k in CUTOFFS},
    **{f"ndcg@{k}": f"N@{k}" for k in CUTOFFS},
    **{f"mrr@{k}": f"MRR@{k}" for k in CUTOFFS},
}
INTERVAL_COLUMNS = {"recall@20": "R@20", "ndcg@20": "N@20", "mrr@20": "MRR@20"}
VARIETY_COLUMNS = {"coverage": "coverage", "novelty_bits": "novelty", "diversity": "diversity"}
INTENT_COLUMNS = {
    "n": "n",
    "yes": "yes",
    "auc": "AUC",
    "ap": "AP",
    "log_loss": "log loss",
    "ece": "ECE",
    "accuracy": "accuracy",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
}
NOTHING = "–"

Row = list[str]
Cells = Mapping[str, float | Interval | None]


def table(evaluation: Evaluation) -> str:
    """All figures as text, wider than most terminals."""
    return "\n\n".join(map(aligned, tables(evaluation)))


def tables(evaluation: Evaluation) -> list[list[Row]]:
    """Next items by group, then intervals and variety, then intents; empty groups are left out."""
    parts = [_items(evaluation), _intervals(evaluation), _intents(evaluation)]
    return [rows for rows in parts if len(rows) > 1]


def _items(evaluation: Evaluation) -> list[Row]:
    rows = [["next item", *ITEM_COLUMNS.values()]]
    for group, figures in evaluation.items.items():
        if any(cells["n"] for cells in figures.values()):
            rows += _lines(group, figures, ITEM_COLUMNS)
    return rows


def _intervals(evaluation: Evaluation) -> list[Row]:
    columns = INTERVAL_COLUMNS | VARIETY_COLUMNS
    title = f"95 % ({evaluation.users:,} users)"
    both: dict[str, Cells] = {
        who: {**evaluation.item_intervals[who], **variety}
        for who, variety in evaluation.variety.items()
    }
    return [[title, *columns.values()], *_lines("", both, columns)[1:]]


def _intents(evaluation: Evaluation) -> list[Row]:
    rows = [["happens within the horizon", *INTENT_COLUMNS.values()]]
    for intent, figures in evaluation.intents.items():
        if any(cells["n"] for cells in figures.values()):
            threshold = evaluation.thresholds[intent]
            yes = f"{printable(intent)}: yes from {threshold.chance:.4f} on ({threshold.chosen_on})"
            rows += _lines(yes, figures, INTENT_COLUMNS)
            intervals = evaluation.intent_intervals[intent]
            for who, bounds in intervals.items():
                cells = [_cell(bounds[key]) if key in bounds else "" for key in INTENT_COLUMNS]
                rows.append([f"  {printable(who)}, 95 %", *cells])
    return rows


def _lines(group: str, figures: Mapping[str, Cells], columns: Mapping[str, str]) -> list[Row]:
    lines = [[f"  {printable(who)}", *cells_of(cells, columns)] for who, cells in figures.items()]
    return [[group], *lines]


def cells_of(figures: Cells, columns: Iterable[str]) -> Row:
    """The figures of these columns as text."""
    return [_cell(figures[column]) for column in columns]


def _cell(value: float | Interval | None) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, tuple):
        return f"{value[0]:.4f}–{value[1]:.4f}"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def aligned(rows: list[Row]) -> str:
    """The rows as text: the first column to the left, the others to the right."""
    widths = [
        max(cell_len(row[column]) for row in rows if column < len(row) and len(row) > 1)
        for column in range(max(map(len, rows)))
    ]
    return "\n".join(
        "  ".join(
            f"{cell}{' ' * (width - cell_len(cell))}" if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=False))
        ).rstrip()
        for row in rows
    )
