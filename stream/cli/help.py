"""The help: flags and commands in groups, in the order in which they are used."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

# Each setting in one group; a command's own options stand before these.
SETTINGS: dict[str, tuple[str, ...]] = {
    "Kafka": (
        *("bootstrap", "group", "events_topic", "scores_topic", "dead_topic", "receipts_topic"),
        *("security_protocol", "ssl_ca_file", "ssl_cert_file", "ssl_key_file", "sasl_mechanism"),
        *("sasl_username", "sasl_password", "sasl_token_file", "instance_id", "static_membership"),
        *("session_timeout_s", "delivery_timeout_s", "commit_interval_s", "idempotence"),
        "compression",
    ),
    "Events": ("actions", "max_message_bytes", "allowed_lateness_ms", "max_future_ms"),
    "State": ("state_dir", "sequence_length", "dedupe_window", "cache_users"),
    "Forgetting": ("ttl_s", "forget_marker_s"),
    "Batching": ("batch_deadline_ms", "batch_users", "max_pending_users", "max_in_flight", "core"),
    "Overload and shutdown": ("shed_after_ms", "scoring_timeout_s", "drain_timeout_s"),
    "Model": ("artifact", "artifact_poll_s", "scorer", "device"),
    "Scoring": (
        *("exclude_seen", "allowed_items", "blocked_items", "max_per_category", "diversity"),
        *("recency_temperature", "user_vector"),
    ),
    "HTTP and logs": ("http", "log_format", "log_level"),
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "Score shoppers": ("demo", "topics", "worker", "watch"),
    "Train and judge a model": ("train", "evaluate", "artifact"),
    "Ask a model": ("similar", "together", "explain"),
    "Event logs": ("convert", "export", "replay", "pseudonymise"),
    "Operate": ("doctor", "config", "forget", "dead", "state"),
}
OTHERS = "Other commands"
_KINDS = {
    **dict.fromkeys(("float", "float range"), "NUMBER"),
    **dict.fromkeys(("int", "int range"), "N"),
    "list[int]": "N",
    **dict.fromkeys(("str", "list[str]"), "TEXT"),
}
_UNITS = {
    "-per-s": "NUMBER",
    "-s": "SECONDS",
    "seconds": "SECONDS",
    "minutes": "MINUTES",
    "hours": "HOURS",
    "-h": "HOURS",
}
_WHOLE = 200  # characters: more than a sentence has


def group_of(setting: str) -> str:
    """The group of a setting; a test sees to it that it has one."""
    return next((group for group, names in SETTINGS.items() if setting in names), "Options")


def arrange(app: typer.Typer) -> None:
    """Let each command of an app show its options in groups."""
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        if group.typer_instance:
            arrange(group.typer_instance)


def help_of(parameter: Any, ctx: Any) -> tuple[str, str] | None:
    """The names of an option or argument with what to write behind them, and its meaning."""
    record = parameter.get_help_record(ctx)
    if record is None:
        return None
    names, found, kind = record[0].partition(" <")
    kind = kind.removesuffix(">")
    if found and parameter.param_type_name == "option":
        unit = next((unit for end, unit in _UNITS.items() if names.endswith(end)), None)
        names += f" {unit or _KINDS.get(kind, kind.upper())}"
    return names, record[1]


class Command(TyperCommand):
    """A command whose options stand in groups."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        for parameter in self.params:
            if parameter.param_type_name == "argument" and parameter.metavar is None:
                parameter.metavar = (parameter.name or "").upper()

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, the command's own options, and the settings."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": []}
        sections |= {group: [] for group in SETTINGS}
        for parameter in self.get_params(ctx):
            if parameter_help := help_of(parameter, ctx):
                is_argument = parameter.param_type_name == "argument"
                group = getattr(parameter, "rich_help_panel", None) or "Options"
                sections["Arguments" if is_argument else group].append(parameter_help)
        _write(formatter, sections.items())


class Commands(TyperGroup):
    """The commands in groups."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's signature
        """Write each group of commands, each with the first sentence of its help."""
        sections = {
            group: [(name, self.commands[name].get_short_help_str(_WHOLE)) for name in names]
            for group, names in listed(self.commands)
        }
        _write(formatter, sections.items())


def listed(names: Collection[str]) -> Iterator[tuple[str, Sequence[str]]]:
    """Those of these commands that are in each group, in order; what is in none comes last."""
    for group, members in COMMANDS.items():
        yield group, [name for name in members if name in names]
    known = {name for members in COMMANDS.values() for name in members}
    yield OTHERS, [name for name in names if name not in known]


def _write(formatter: Any, sections: Iterable[tuple[str, Sequence[tuple[str, str]]]]) -> None:
    for title, records in sections:
        if records:
            with formatter.section(title):
                formatter.write_dl(records)
