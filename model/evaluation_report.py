"""The report of an evaluation: one aligned table for people."""

from collections.abc import Mapping

from model.evaluation import Evaluation

ITEM_COLUMNS = {
    "n": "n",
    "recall@5": "R@5",
    "recall@10": "R@10",
    "recall@20": "R@20",
    "ndcg@10": "N@10",
    "ndcg@20": "N@20",
    "mrr@20": "MRR@20",
}
INTENT_COLUMNS = {
    "n": "n",
    "yes": "yes",
    "auc": "AUC",
    "ap": "AP",
    "log_loss": "log loss",
    "ece": "ECE",
}
NOTHING = "–"


def table(evaluation: Evaluation) -> str:
    """Next items by group, then intents; one line per scorer, no line for an empty group."""
    rows = [["next item", *ITEM_COLUMNS.values()]]
    for group, figures in evaluation.items.items():
        rows += _lines(group, figures, ITEM_COLUMNS)
    intents = [
        line
        for intent, figures in evaluation.intents.items()
        for line in _lines(intent, figures, INTENT_COLUMNS)
    ]
    if intents:
        rows += [[], ["happens within the horizon", *INTENT_COLUMNS.values()], *intents]
    columns = max(len(row) for row in rows)
    widths = [
        max(len(row[column]) for row in rows if column < len(row)) for column in range(columns)
    ]
    return "\n".join(_aligned(row, widths) for row in rows)


def _lines(
    group: str, figures: Mapping[str, Mapping[str, float | None]], columns: Mapping[str, str]
) -> list[list[str]]:
    if not any(said["n"] for said in figures.values()):
        return []
    lines = [[group]]
    for scorer, said in figures.items():
        lines.append([f"  {scorer}", *(_text(said[column]) for column in columns)])
    return lines


def _text(value: float | None) -> str:
    if value is None:
        return NOTHING
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"


def _aligned(row: list[str], widths: list[int]) -> str:
    cells = [
        cell.ljust(width) if column == 0 else cell.rjust(width)
        for column, (cell, width) in enumerate(zip(row, widths, strict=False))
    ]
    return "  ".join(cells).rstrip()
