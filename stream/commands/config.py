"""The command `lately config show`: each setting with its source; secrets stay hidden."""

import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple, get_args

from pydantic import Field, SecretStr

from stream.settings import WorkerSettings
from stream.sources import ENV_PREFIX

HIDDEN = "********"


class ShownSettings(WorkerSettings):
    """Every setting, none of them required."""

    artifact: Path | None = Field(  # type: ignore[assignment]
        None, description=WorkerSettings.model_fields["artifact"].description
    )
    state_dir: Path | None = Field(  # type: ignore[assignment]
        None, description=WorkerSettings.model_fields["state_dir"].description
    )


class Row(NamedTuple):
    """A setting; ``source`` is a flag, a variable, a file named by it, an artifact or `default`."""

    name: str
    value: str | None
    source: str


def rows(settings: ShownSettings, flags: Collection[str]) -> list[Row]:
    """Every setting; ``flags`` are the names given on the command line."""
    found = [
        Row(name, _text(getattr(settings, name)), _source(name, field.annotation, flags))
        for name, field in type(settings).model_fields.items()
    ]
    if settings.actions is None and settings.artifact is not None:
        found = [_actions_of(settings.artifact) if row.name == "actions" else row for row in found]
    return found


def _actions_of(artifact: Path) -> Row:
    """The actions that a worker accepts because the model knows them."""
    from model.artifact.artifact import read_manifest  # late: `lately --help` needs none of it
    from model.errors import ArtifactError

    try:
        names = read_manifest(artifact).config.actions
    except ArtifactError:
        return Row("actions", None, f"artifact {artifact}, which cannot be read")
    return Row("actions", _text(names), f"artifact {artifact}")


def _text(value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, SecretStr):
        return HIDDEN
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _source(name: str, annotation: Any, flags: Collection[str]) -> str:
    variable = f"{ENV_PREFIX}{name.upper()}"
    if name in flags:
        return f"flag --{name.replace('_', '-')}"
    if os.environ.get(variable, "").strip():
        return f"environment {variable}"
    if SecretStr in get_args(annotation) and os.environ.get(f"{variable}_FILE"):
        return f"file {os.environ[f'{variable}_FILE']} by {variable}_FILE"
    return "default"


def show(settings: ShownSettings, flags: Collection[str], *, as_json: bool) -> None:
    """Print every setting with its source."""
    found = rows(settings, flags)
    if as_json:
        page = {row.name: {"value": row.value, "source": row.source} for row in found}
        print(json.dumps(page, indent=2))
        return
    name_width = max(len(row.name) for row in found)
    value_width = max(len(row.value or "-") for row in found)
    for row in found:
        print(f"{row.name:{name_width}}  {row.value or '-':{value_width}}  {row.source}")
