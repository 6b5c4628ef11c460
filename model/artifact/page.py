"""The page of an artifact: its model, training data, figures and files as text."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from model.artifact.artifact import SHRUNK

ITEM_FIGURES = ("recall@10", "recall@20", "ndcg@10", "mrr@20")
INTENT_FIGURES = ("auc", "ap", "log_loss", "ece")
INDENT = 2
Rows = list[list[str]]


def page(fields: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """Render a manifest's fields and the figures of ``metrics.json`` as text for people."""
    held_out = metrics.get("held_out", {})
    sections = [
        (f"{fields['name']} {fields['version']}", _model(fields)),
        ("data", [_line(name, value) for name, value in fields["data"].items()]),
        ("made", [_line(name, value) for name, value in _made(fields)]),
        ("next item, held out", _figures(held_out.get("items", {}), ITEM_FIGURES)),
        ("intents, held out, on which they were calibrated", _intents(held_out.get("intents", {}))),
        ("shrunk: before and after", _shrunk(metrics.get(SHRUNK, {}), fields["intents"])),
        ("files", _files(fields["files"])),
    ]
    return "\n\n".join(_section(title, rows) for title, rows in sections if rows)


def _model(fields: Mapping[str, Any]) -> Rows:
    return [
        ["network", str(fields["network"])],
        ["items", f"{fields['items']:,} in {fields['categories']:,} categories"],
        ["actions", ", ".join(fields["actions"])],
        ["intents", f"{_counted(fields) or 'none'} within {fields['horizon_s']:,} s"],
        ["looks at", f"the newest {fields['max_length']:,} actions"],
        ["answers", f"{fields['top_items']} items and {fields['top_categories']} categories"],
    ]


def _counted(fields: Mapping[str, Any]) -> str:
    """The intents, each with the actions that it counts if they have other names."""
    intents = fields["intents"]
    actions = fields.get("intent_actions") or [[name] for name in intents]
    return ", ".join(
        name if names == [name] else f"{name} ({', '.join(names)})"
        for name, names in zip(intents, actions, strict=True)
    )


def _made(fields: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "at", fields["created_at"]
    for name, value in fields["made"].items():
        if isinstance(value, Mapping):
            yield from ((f"{name}.{part}", content) for part, content in value.items())
        else:
            yield name, value


def _figures(by_scorer: Mapping[str, Any], names: tuple[str, ...]) -> Rows:
    """One row per scorer, with a dash for a missing figure."""
    rows = [
        [scorer, *(_figure(figures.get(name)) for name in ("n", *names))]
        for scorer, figures in by_scorer.items()
        if isinstance(figures, Mapping)
    ]
    return [["", "n", *names], *rows] if rows else []


def _intents(intents: Mapping[str, Any]) -> Rows:
    """Like ``_figures``, for intents with figures of one scorer or of several."""
    flat: dict[str, Any] = {}
    for intent, figures in intents.items():
        if "n" in figures:
            flat[intent] = figures
        else:
            flat |= {f"{intent}, {scorer}": found for scorer, found in figures.items()}
    return _figures(flat, INTENT_FIGURES)


def shrunk_figures(intents: Iterable[str]) -> list[str]:
    """The figures measured before and after shrinking, in the order of the rows."""
    return ["recall@20", "mrr@20", "ndcg@20", *(f"{intent} ece" for intent in intents)]


def _shrunk(found: Mapping[str, Any], intents: Iterable[str]) -> Rows:
    if "before" not in found:
        return []
    both = found["before"], found["after"]
    return [[n, *(_figure(figures[n]) for figures in both)] for n in shrunk_figures(intents)]


def _files(files: Mapping[str, Any]) -> Rows:
    sizes = [int(proof["size_bytes"]) for proof in files.values()]
    rows = [
        [name, f"{proof['size_bytes']:,} bytes", f"sha256 {proof['sha256'][:12]}…"]
        for name, proof in files.items()
    ]
    return [*rows, ["in all", f"{sum(sizes):,} bytes", ""]]


def _section(title: str, rows: Rows) -> str:
    """A title with aligned rows under it; tables of three or more columns align to the right."""
    wide = len(rows[0]) > 2
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [title]
    for first, *rest in rows:
        cells = [first.ljust(widths[0])]
        for cell, width in zip(rest, widths[1:], strict=True):
            cells.append(cell.rjust(width) if wide else cell)
        lines.append((" " * INDENT + "  ".join(cells)).rstrip())
    return "\n".join(lines)


def _line(name: str, value: Any) -> list[str]:
    return [name.removesuffix("_ms"), _value(name, value)]


def _value(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{part} {_value(part, content)}" for part, content in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return _time(value) if name.endswith("_ms") else f"{value:,}"
    return "–" if value is None else str(value)


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _figure(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
