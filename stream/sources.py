"""Sources: where settings come from, which wins, and the variables that are no settings.

A field ``commit_interval_s`` is the flag ``--commit-interval-s`` and the environment variable
``LATELY_COMMIT_INTERVAL_S``; a flag wins over the environment, the environment over the default.
A secret may be in a file that ``LATELY_…_FILE`` names. An empty variable is as none: that is what a
compose file makes of a variable that is not set; so is one of spaces, and those around a value do
not count. Only names in capitals count.
"""

import difflib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    EnvSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from stream.errors import SettingsError

ENV_PREFIX = "LATELY_"
# Variables of tests, scripts and failpoints, and those that Kubernetes sets for a service `lately`.
_OTHERS = re.compile(
    r"LATELY_(FAILPOINT|DATA_DIR|AUDIT|TEST_\w+|(\w+_)?SERVICE_(HOST|PORT)(_\w+)?"
    r"|(\w+_)?PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)"
)


class Variables(EnvSettingsSource):
    """Reads settings from the environment."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        # By the names that pydantic looks up, which are in small letters.
        return {name.lower(): value for name, value in os.environ.items() if name.isupper()}

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The text of the variable; None without one."""
        value, key, is_complex = super().get_field_value(field, field_name)
        if field.annotation != SecretStr | None and isinstance(value, str):
            value = value.strip()
        return value or None, key, is_complex


class SecretFiles(PydanticBaseSettingsSource):
    """Reads a secret from the file that ``LATELY_<NAME>_FILE`` names."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """The text of the file, without its last line break; None for a field that is no secret."""
        if field.annotation != SecretStr | None:
            return None, field_name, False
        variable = f"{ENV_PREFIX}{field_name.upper()}_FILE"
        path = os.environ.get(variable)
        if not path:
            return None, field_name, False
        try:
            return Path(path).read_text(encoding="utf-8-sig").rstrip("\n"), field_name, False
        except OSError as error:
            raise SettingsError(
                f"{variable}: cannot read {path} ({error.strerror}); name a readable file"
            ) from error
        except UnicodeDecodeError:
            raise SettingsError(f"{variable}: {path} is not UTF-8; name a text file") from None

    def __call__(self) -> dict[str, Any]:
        """Every secret that is in a file."""
        values = {
            name: self.get_field_value(field, name)[0]
            for name, field in self.settings_cls.model_fields.items()
        }
        return {name: value for name, value in values.items() if value is not None}


class Settings(BaseSettings):
    """The base of all settings: a flag wins over the environment, that over the default."""

    model_config = SettingsConfigDict(
        env_prefix=ENV_PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        *_others: Any,
        **_more: Any,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The sources in order, the first wins: flags, environment, secret files."""
        del env_settings  # ours is stricter
        return init_settings, Variables(settings_cls), SecretFiles(settings_cls)

    @classmethod
    def load(cls, **flags: Any) -> Self:
        """Read the settings; None is a flag that was not given.

        Raises SettingsError that names each bad field, what is wrong with it, and its flag.
        """
        given = {name: value for name, value in flags.items() if value is not None}
        for name in (name for name, value in given.items() if value == ""):
            flag, variable = name.replace("_", "-"), f"{ENV_PREFIX}{name.upper()}"
            raise SettingsError(f"{name}: is empty; set --{flag} or {variable}, or neither")
        try:
            return cls(**given)
        except ValidationError as error:
            raise SettingsError("; ".join(map(_problem, error.errors()))) from None


def _problem(error: Any) -> str:
    message = str(error["msg"]).removeprefix("Value error, ")
    if not error["loc"]:
        return message
    name = str(error["loc"][0])
    flag = name.replace("_", "-")
    return f"{name}: {message}; set --{flag} or {ENV_PREFIX}{name.upper()}"


def unknown_variables(environment: Mapping[str, str], kind: type[Settings]) -> Iterator[str]:
    """A line for each variable that looks like a setting of ``kind``, and is none."""
    fields = kind.model_fields.items()
    known = {f"{ENV_PREFIX}{name.upper()}" for name, _ in fields}
    known |= {
        f"{ENV_PREFIX}{name.upper()}_FILE"
        for name, field in fields
        if field.annotation == SecretStr | None
    }
    for name in sorted(environment.keys() - known):
        if name.upper().startswith(ENV_PREFIX) and not _OTHERS.fullmatch(name):
            nearest = difflib.get_close_matches(name.upper(), known, 1)
            hint = f"did you mean {nearest[0]}?" if nearest else "`lately config show` lists them"
            yield f"{name} is no setting, and has no effect; {hint}"
