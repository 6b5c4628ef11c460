"""The dump: a run's evidence as files, so that the oracle can look at it from another process."""

from pathlib import Path
from typing import Any

import msgspec

from tests.oracle.evidence import Evidence
from tests.oracle.record import Record

FILE = "evidence.msgpack"
_TOPICS = ("events", "changelog", "scores", "dead", "receipts")


def write_evidence(folder: Path, evidence: Evidence) -> None:
    """Write everything into one file of the folder."""
    (folder / FILE).write_bytes(msgspec.msgpack.encode(evidence._asdict()))


def read_evidence(folder: Path) -> Evidence:
    """Read it back."""
    fields: dict[str, Any] = msgspec.msgpack.decode((folder / FILE).read_bytes(), strict=False)
    for topic in _TOPICS:
        fields[topic] = [_record(row) for row in fields[topic]]
    return Evidence(**fields)


def _record(row: list[Any]) -> Record:
    partition, offset, timestamp_ms, key, value, headers = row
    return Record(partition, offset, timestamp_ms, key, value, tuple((n, v) for n, v in headers))
