"""The reference: writes docs/reference.md from the commands, the settings and the metrics.

``python -m docs.reference``; a test compares the page with them.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import typer
from prometheus_client import CollectorRegistry
from pydantic import SecretStr

from stream.cli.app import app
from stream.cli.help import SETTINGS, help_of, listed
from stream.metrics import Metrics
from stream.settings import WorkerSettings

OUTPUT = Path(__file__).parent / "reference.md"
HEAD = """# Reference

Every command, setting and metric. `python -m docs.reference` writes this page; do not edit it.

"""
SETTINGS_HEAD = """## Settings

A flag wins over its variable, the variable over the default; an empty variable is as none.
`lately config show` prints each value with its source. The worker has all of these, other commands
those that they need.
"""
HIDDEN = "no flag; the variable `{variable}`, or a file that `{variable}_FILE` names"
BAR = "\\|"  # in a cell
METRICS_HEAD = """## Metrics

What a worker serves at `/metrics`. [operations.md](operations.md) says what to look at and when.

| metric | type | labels | meaning |
|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    parts = [
        HEAD,
        "## Commands\n",
        *_commands(),
        SETTINGS_HEAD,
        *_settings(),
        METRICS_HEAD,
        *_metrics(),
    ]
    return "".join(parts)


def _commands() -> Iterator[str]:
    root: Any = typer.main.get_command(app)
    for title, names in listed(root.commands):
        if names:
            yield f"\n### {title}\n\n"
        for name in names:
            yield from _command(name, root.commands[name])
    yield "\n"


def _command(name: str, command: Any) -> Iterator[str]:
    if members := getattr(command, "commands", None):
        for member, inner in members.items():
            yield from _command(f"{name} {member}", inner)
        return
    own = [p for p in command.params if not p.rich_help_panel and p.name != "help"]
    records = {p: help_of(p, _context(command)) for p in own}
    arguments = " ".join(record[0] for p, record in records.items() if record and _is_argument(p))
    yield f"- `lately {f'{name} {arguments}'.strip()}`: {_text(command.get_short_help_str(300))}\n"
    for parameter, record in records.items():
        if record and not _is_argument(parameter):
            yield f"  - `{record[0]}`: {_text(record[1])}\n"


def _context(command: Any) -> Any:
    return command.context_class(command, terminal_width=400)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _settings() -> Iterator[str]:
    for group, names in SETTINGS.items():
        yield f"\n### {group}\n\n| flag | variable | default | meaning |\n|---|---|---|---|\n"
        yield from map(_setting, names)
    yield "\n"


def _setting(name: str) -> str:
    field = WorkerSettings.model_fields[name]
    flag, variable = f"`--{name.replace('_', '-')}`", f"LATELY_{name.upper()}"
    if SecretStr in get_args(field.annotation):
        flag = HIDDEN.format(variable=variable)
    default = "required" if field.is_required() else _default(field.default)
    return _row([flag, f"`{variable}`", default, str(field.description)])


def _default(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return f"`{','.join(value)}`"
    return "none" if value is None else f"`{value}`"


class _Listing(CollectorRegistry):
    """A registry that knows what is registered."""

    def __init__(self) -> None:
        super().__init__()
        self.collectors: list[Any] = []

    def register(self, collector: Any) -> None:
        self.collectors.append(collector)
        super().register(collector)


def _metrics() -> Iterator[str]:
    registry = _Listing()
    Metrics(registry)
    for collector in registry.collectors:
        labels = ", ".join(f"`{label}`" for label in getattr(collector, "_labelnames", ()))
        for family in collector.collect():
            if family.name.startswith("lately_"):
                name = f"{family.name}_total" if family.type == "counter" else family.name
                yield _row([f"`{name}`", family.type, labels, family.documentation])


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_text(cell).replace('|', BAR) for cell in cells)} |\n"


def _text(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


if __name__ == "__main__":
    OUTPUT.write_text(page(), encoding="utf-8")
