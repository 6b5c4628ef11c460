"""A dead letter read back: where it lies, why it is dead, and the message that it was."""

import re
from typing import Any, NamedTuple

from stream.errors import SettingsError
from stream.kafka.producer import Headers, Record

ERRORS = "__streams.errors."
REASON = "lately.reason"
REPLAYED = "lately.replayed"
# What a worker appends to the headers of the message, in this order (`stream.kafka.producer`).
OURS = (
    *(f"{ERRORS}{name}" for name in ("topic", "partition", "offset", "exception", "message")),
    REASON,
)
NO_REASON = "none"  # of a record that no worker wrote


class Place(NamedTuple):
    """Where a letter lies in the dead letter topic."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read PARTITION:OFFSET; raises SettingsError."""
        found = re.fullmatch(r"(\d{1,9}):(\d{1,18})", text, re.ASCII)
        if not found:
            raise SettingsError(
                f"{text!r} is not PARTITION:OFFSET; `lately dead list` shows where letters lie"
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Letter:
    """One record of the dead letter topic."""

    def __init__(self, record: Any) -> None:
        self.place = Place(record.partition, record.offset)
        self.timestamp_ms: int = record.timestamp
        self.key: bytes | None = record.key
        self.value: bytes | None = record.value
        self.headers: Headers = list(record.headers)

    @property
    def is_ours(self) -> bool:
        """Whether a worker wrote it: its last headers are those that a worker appends."""
        return tuple(name for name, _ in self.headers[-len(OURS) :]) == OURS

    @property
    def reason(self) -> str:
        """Why it is dead, in the word of the contract."""
        return self.said(REASON) if self.is_ours else NO_REASON

    @property
    def size_bytes(self) -> int:
        """Key and value."""
        return len(self.key or b"") + len(self.value or b"")

    def said(self, name: str) -> str:
        """One of our own headers; the message may have had one of that name before it."""
        return (dict(self.headers[-len(OURS) :]).get(name) or b"").decode(errors="replace")

    @property
    def source(self) -> tuple[str, int]:
        """Topic and partition that the message came from; -1 where it does not say."""
        partition = self.said(f"{ERRORS}partition")
        return self.said(f"{ERRORS}topic"), int(partition) if partition.isdecimal() else -1

    def message(self) -> Record:
        """Key, value and headers as they were, and one more that says which letter this was."""
        original = [pair for pair in self.headers[: -len(OURS)] if pair[0] != REPLAYED]
        return self.key, self.value, [*original, (REPLAYED, str(self.place).encode())]


def shown(value: bytes | None) -> str:
    """Bytes as text where they are, for a terminal: what does not print is escaped."""
    if value is None:
        return "null"
    text = value.decode(errors="backslashreplace")
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
