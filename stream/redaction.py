"""Redaction: keeps user ids out of log lines, whether in a field or in an exception's text."""

import logging
import traceback
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from aiokafka.errors import KafkaError

from stream.errors import LatelyError

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
WITHHELD = frozenset({"user_id", "user", "key"})
# Their texts name topics, addresses and files; any other may name a user.
_SAFE_TEXTS = (LatelyError, KafkaError, OSError)


def redact_fields(
    _logger: object, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """Replace the values of fields that identify a user; a structlog processor."""
    for name in WITHHELD.intersection(fields):
        fields[name] = "(withheld)"
    return fields


def redact_arguments(record: logging.LogRecord) -> bool:
    """Replace exceptions among a record's arguments, as mode logs them; a logging filter."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            describe(argument) if isinstance(argument, BaseException) else argument
            for argument in record.args
        )
    return True


def describe(error: BaseException) -> str:
    """The type of an exception, and its text if that cannot name a user."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, _SAFE_TEXTS) else name


def location(error: BaseException) -> str:
    """FILE:LINE where an exception was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"


def format_traceback(exc_info: ExcInfo) -> str:
    """Python's traceback, cause first, with redacted texts."""
    parts = []
    for error in reversed(list(_chain(exc_info[1]))):
        parts.append("Traceback (most recent call last):\n")
        parts += traceback.format_tb(error.__traceback__)
        parts.append(f"{describe(error)}\n")
    return "".join(parts).rstrip("\n")


def write_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    """Write such a traceback; the exception formatter of structlog's console renderer."""
    stream.write("\n" + format_traceback(exc_info))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        hidden = None if found.__suppress_context__ else found.__context__
        found = found.__cause__ or hidden
