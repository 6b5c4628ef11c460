"""Log lines on stderr: ours and those of Faust, mode and aiokafka, as plain text or JSON.

No line names a user, whoever wrote it: all go through `stream.redaction`.
"""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import Processor

from stream.redaction import (
    format_traceback,
    redact_arguments,
    redact_fields,
    write_traceback,
)

REPEAT_S = 10.0
LIBRARY_REPEAT_S = 300.0
_LIBRARIES = ("faust", "mode", "aiokafka", "asyncio", "aiohttp")
_context: dict[str, str] = {}


class RepeatLimit(logging.Filter):
    """Passes a warning or error of one kind once in ``every_s``, a library's in ``library_s``.

    A kind is a message template with the types of the exceptions in it. aiokafka logs an outage of
    a minute in some thousand lines of a few kinds; the first of each and a count say as much, and
    how the worker is it says itself. Information is not limited, and critical lines always pass.
    """

    def __init__(
        self,
        every_s: float = REPEAT_S,
        library_s: float = LIBRARY_REPEAT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__()
        self._every_s = every_s
        self._library_s = library_s
        self._clock = clock
        self._shown: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show the record; ``suppressed`` on it counts those dropped before it."""
        if not logging.WARNING <= record.levelno < logging.CRITICAL:
            return True
        now_s = self._clock()
        every_s = self._library_s if _is_of_a_library(record) else self._every_s
        key = (record.name, record.levelno, _template(record), _exception_types(record))
        shown_s, suppressed = self._shown.get(key, (-every_s, 0))
        if now_s - shown_s < every_s:
            self._shown[key] = (shown_s, suppressed + 1)
            return False
        self._shown[key] = (now_s, 0)
        record.suppressed = suppressed
        return True


def _template(record: logging.LogRecord) -> str:
    # structlog passes its fields as the message; their "event" is the template.
    if isinstance(record.msg, dict):
        return str(record.msg.get("event"))
    return str(record.msg)


def _exception_types(record: logging.LogRecord) -> tuple[object, ...]:
    arguments = record.args if isinstance(record.args, tuple) else ()
    found = [type(argument) for argument in arguments if isinstance(argument, BaseException)]
    return (record.exc_info[0] if record.exc_info else None, *found)


def _is_of_a_library(record: logging.LogRecord) -> bool:
    return record.name.partition(".")[0] in _LIBRARIES


def set_context(**fields: str) -> None:
    """Add these fields to every line from now on, whoever writes it, on any thread."""
    _context.update(fields)


def _add_context(
    _logger: object, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    return {**fields, **_context}


def configure(
    log_format: Literal["plain", "json"] = "plain",
    level: str = "info",
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Write every log line of this process to ``stream``, by default stderr, in one format.

    Libraries log from ``warning`` up, or from ``info`` up if ``level`` is ``debug``. Another call
    replaces the configuration.
    """
    stream = stream or sys.stderr
    _context.clear()
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_context,
        redact_fields,
    ]
    handler = logging.StreamHandler(stream)
    handler.addFilter(RepeatLimit(clock=clock))
    handler.addFilter(redact_arguments)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ExtraAdder(allow=("suppressed",)),
                _drop_zero_suppressed,
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(log_format, colors=stream.isatty()),
            ],
        )
    )
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level.upper())
    for name in _LIBRARIES:
        # Never debug: aiokafka would log whole requests, with the users in them.
        logging.getLogger(name).setLevel("INFO" if level == "debug" else "WARNING")
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def write_line(
    text: str,
    level: Literal["warning", "critical"],
    log_format: Literal["plain", "json"],
    stream: TextIO | None = None,
) -> None:
    """Write one line about the start or end of this process, before or after it logs."""
    line = f"lately: {text}"
    if log_format == "json":
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        fields = {"event": text, "level": level, "logger": "lately", "timestamp": now}
        line = orjson.dumps(fields).decode()
    print(line, file=stream or sys.stderr, flush=True)


def _renderers(log_format: Literal["plain", "json"], colors: bool) -> list[Processor]:
    if log_format == "json":
        return [structlog.processors.ExceptionRenderer(format_traceback), _to_json]
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=write_traceback)]


def _to_json(_logger: object, _method: str, fields: MutableMapping[str, Any]) -> str:
    return orjson.dumps(dict(fields), default=str).decode()


def _drop_zero_suppressed(
    _logger: object, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    if not fields.get("suppressed"):
        fields.pop("suppressed", None)
    return fields
