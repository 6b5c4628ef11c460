"""Log lines on stderr: ours and those of Faust, mode and aiokafka, for people or for programs.

No line names a shopper: fields that would, and texts of exceptions that may, are withheld here,
whoever wrote the line.
"""

import logging
import sys
import time
from collections.abc import Callable, MutableMapping
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.typing import Processor

from stream.tracebacks import format_traceback, said, write_traceback

REPEAT_S = 10.0
WITHHELD = frozenset({"user_id", "user", "key"})
_CHATTY = ("faust", "mode", "aiokafka", "asyncio", "aiohttp")


class RepeatLimit(logging.Filter):
    """Lets a warning or error through once in ``every_s`` per message template.

    An outage of a minute is some thousand lines of one template from aiokafka; the first and a
    count say as much. What is less than a warning is the author's to space out, and what is
    critical is never held back.
    """

    def __init__(
        self, every_s: float = REPEAT_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._every_s = every_s
        self._clock = clock
        self._shown: dict[tuple[object, ...], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to show the record; ``suppressed`` on it counts those held back before it."""
        if not logging.WARNING <= record.levelno < logging.CRITICAL:
            return True
        now_s = self._clock()
        key = (record.name, record.levelno, _template(record), _exception_type(record))
        shown_s, suppressed = self._shown.get(key, (-self._every_s, 0))
        if now_s - shown_s < self._every_s:
            self._shown[key] = (shown_s, suppressed + 1)
            return False
        self._shown[key] = (now_s, 0)
        record.suppressed = suppressed
        return True


def _hide_texts(record: logging.LogRecord) -> bool:
    """Let libraries log an exception as an argument, as mode does, without its text."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            said(argument) if isinstance(argument, BaseException) else argument
            for argument in record.args
        )
    return True


def _template(record: logging.LogRecord) -> str:
    # structlog hands the fields over as the message; its "event" is the template.
    if isinstance(record.msg, dict):
        return str(record.msg.get("event"))
    return str(record.msg)


def _exception_type(record: logging.LogRecord) -> object:
    return record.exc_info[0] if record.exc_info else None


def configure(
    log_format: Literal["plain", "json"] = "plain",
    level: str = "info",
    stream: TextIO | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Send every log line of this process to ``stream``, by default stderr, in one format.

    Libraries are heard from ``warning`` up, or from ``info`` up if ``level`` is ``debug``. Calling
    again replaces what was configured before.
    """
    stream = stream or sys.stderr
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _withhold,
    ]
    handler = logging.StreamHandler(stream)
    handler.addFilter(RepeatLimit(clock=clock))
    handler.addFilter(_hide_texts)
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
    for name in _CHATTY:
        # Never debug: there aiokafka writes whole requests, and so the shoppers in them.
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


def _withhold(
    _logger: object, _method: str, fields: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    for name in WITHHELD.intersection(fields):
        fields[name] = "(withheld)"
    return fields
