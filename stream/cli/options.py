"""Settings as command-line options, made from the definition of each setting."""

import inspect
import os
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_args

import typer
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from stream.cli.help import group_of
from stream.command_name import as_typed
from stream.settings import WorkerSettings
from stream.sources import ENV_PREFIX, Settings, unknown_variables

S = TypeVar("S", bound=Settings)
# By the name of a setting, or how it ends.
_METAVARS = {
    **dict.fromkeys(("artifact", "state_dir"), "FOLDER"),
    **dict.fromkeys(("allowed_items", "blocked_items", "_file"), "FILE"),
    **dict.fromkeys(("http", "bootstrap"), "HOST:PORT"),
    **dict.fromkeys(("group", "sasl_username", "instance_id", "device"), "NAME"),
    "actions": "NAME,…",
    "_topic": "TOPIC",
    "_ms": "MS",
    "_s": "SECONDS",
    "_bytes": "BYTES",
}


def with_settings(kind: type[S]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add an option for each setting of ``kind`` to a command, and pass it the settings.

    They are its first argument; its own parameters follow. A secret is not an option, since every
    user of the machine could read it in the list of processes.
    """
    fields = {
        name: field
        for name, field in kind.model_fields.items()
        if SecretStr not in get_args(field.annotation)
    }

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        def call(*arguments: Any, **options: Any) -> None:
            flags = {name: options.pop(name) for name in fields}
            settings = kind.load(**flags)
            _warn(settings)
            command(settings, *arguments, **options)

        _, *own = inspect.signature(command).parameters.values()
        settings = [_parameter(name, field) for name, field in fields.items()]
        call.__signature__ = inspect.Signature(own + settings)  # type: ignore[attr-defined]
        call.__name__, call.__doc__ = command.__name__, command.__doc__
        return call

    return decorate


def _warn(settings: Settings) -> None:
    if lines := list(unknown_variables(os.environ, WorkerSettings)):
        from stream.logs import write_line  # takes as long to import as all of this

        for line in lines:
            write_line(as_typed(line), "warning", getattr(settings, "log_format", "plain"))


def _parameter(name: str, field: FieldInfo) -> inspect.Parameter:
    flag = f"--{name.replace('_', '-')}"
    is_switch = field.annotation is bool
    option = typer.Option(
        f"{flag}/--no-{flag[2:]}" if is_switch else flag,
        help=f"{field.description} [{_default(field)}; {ENV_PREFIX}{name.upper()}]",
        metavar=None if is_switch else _metavar(name, field),
        show_default=False,
        rich_help_panel=group_of(name),
    )
    # Strings without defaults: the settings validate them and fill in the defaults.
    annotation = Annotated[bool | None, option] if is_switch else Annotated[str | None, option]
    keyword = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter(name, keyword, default=None, annotation=annotation)


def _metavar(name: str, field: FieldInfo) -> str:
    choices = get_args(field.annotation)
    if choices and all(isinstance(choice, str) for choice in choices):
        return "|".join(choices)
    by_end = (found for end, found in _METAVARS.items() if name.endswith(end))
    return (
        _METAVARS.get(name)
        or next(by_end, None)
        or ("N" if "int" in str(field.annotation) else "NUMBER")
    )


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if isinstance(field.default, tuple):
        return ",".join(field.default)
    return "unset" if field.default is None else str(field.default)
