"""What may be told of an exception: types and places, for its text may name a shopper."""

import traceback
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TextIO

from aiokafka.errors import KafkaError

from stream.errors import LatelyError

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]
_TEXT_IS_SAFE = (LatelyError, KafkaError, OSError)  # they name topics, addresses and files


def said(error: BaseException) -> str:
    """The type of an exception, and its text where that can name no shopper."""
    name = type(error).__name__
    return f"{name}: {error}" if isinstance(error, _TEXT_IS_SAFE) else name


def place(error: BaseException) -> str:
    """FILE:LINE where an exception was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else "nowhere"


def format_traceback(exc_info: ExcInfo) -> str:
    """Python's traceback, cause first, without the texts."""
    parts = []
    for error in reversed(list(_chain(exc_info[1]))):
        parts.append("Traceback (most recent call last):\n")
        parts += traceback.format_tb(error.__traceback__)
        parts.append(f"{said(error)}\n")
    return "".join(parts).rstrip("\n")


def write_traceback(stream: TextIO, exc_info: ExcInfo) -> None:
    """Write such a traceback, as structlog's renderer of plain lines wants it done."""
    stream.write("\n" + format_traceback(exc_info))


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    found: BaseException | None = error
    while found is not None and id(found) not in seen:
        seen.add(id(found))
        yield found
        hidden = None if found.__suppress_context__ else found.__context__
        found = found.__cause__ or hidden
