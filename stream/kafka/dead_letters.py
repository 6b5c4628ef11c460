"""Dead letters: the records of the dead letter topic, as they are written and read back."""

import re
from typing import Any, NamedTuple

from model.printable import printable
from stream.errors import SettingsError
from stream.events import DeadLetter
from stream.kafka.producer import Headers, Record

# Header names of KIP-1034.
TOPIC = "__streams.errors.topic"
PARTITION = "__streams.errors.partition"
OFFSET = "__streams.errors.offset"
EXCEPTION = "__streams.errors.exception"
MESSAGE = "__streams.errors.message"
# Header names of our own.
REASON = "lately.reason"
REPLAYED = "lately.replayed"
# The headers that a worker appends to those of the message, in this order.
APPENDED = (TOPIC, PARTITION, OFFSET, EXCEPTION, MESSAGE, REASON)
NO_REASON = "none"  # of a record that no worker wrote


def dead_letter_record(topic: str, partition: int, dead: DeadLetter) -> Record:
    """The original key, value and headers, followed by headers that say why it is dead."""
    message = dead.message
    values = (
        topic.encode(),
        b"%d" % partition,
        b"%d" % message.offset,
        dead.exception.encode(),
        dead.text.encode(errors="backslashreplace"),
        dead.reason.encode(),
    )
    return message.key, message.value, [*message.headers, *zip(APPENDED, values, strict=True)]


class Location(NamedTuple):
    """The partition and offset of a letter in the dead letter topic."""

    partition: int
    offset: int

    @classmethod
    def parse(cls, text: str) -> "Location":
        """Parse PARTITION:OFFSET; raises SettingsError."""
        found = re.fullmatch(r"(\d{1,9}):(\d{1,18})", text, re.ASCII)
        if not found:
            raise SettingsError(
                f"{text!r} is not PARTITION:OFFSET; `lately dead list` shows where letters are"
            )
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"


class Letter:
    """One record of the dead letter topic."""

    def __init__(self, record: Any) -> None:
        self.location = Location(record.partition, record.offset)
        self.timestamp_ms: int = record.timestamp
        self.key: bytes | None = record.key
        self.value: bytes | None = record.value
        self.headers: Headers = list(record.headers)

    @property
    def is_ours(self) -> bool:
        """Whether a worker wrote it: its last headers are those that a worker appends."""
        return tuple(name for name, _ in self.headers[-len(APPENDED) :]) == APPENDED

    @property
    def reason(self) -> str:
        """Why it is dead, as named by the wire contract."""
        return self.header(REASON) if self.is_ours else NO_REASON

    @property
    def size_bytes(self) -> int:
        """The size of key and value together."""
        return len(self.key or b"") + len(self.value or b"")

    def header(self, name: str) -> str:
        """The value of a header that the worker appended.

        The message itself may have a header of the same name, which is ignored.
        """
        return (dict(self.headers[-len(APPENDED) :]).get(name) or b"").decode(errors="replace")

    @property
    def source(self) -> tuple[str, int]:
        """Topic and partition of the message; partition -1 if the header has none."""
        partition = self.header(PARTITION)
        return self.header(TOPIC), int(partition) if partition.isdecimal() else -1

    def message(self) -> Record:
        """The original key, value and headers, and one header more that names this letter."""
        original = [pair for pair in self.headers[: -len(APPENDED)] if pair[0] != REPLAYED]
        return self.key, self.value, [*original, (REPLAYED, str(self.location).encode())]


def printable_bytes(value: bytes | None) -> str:
    """Bytes as text for a terminal; whatever does not print is escaped."""
    if value is None:
        return "null"
    return printable(value.decode(errors="backslashreplace"))
