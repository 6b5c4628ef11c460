"""The record: what the oracle reads of one Kafka record."""

from typing import NamedTuple


class Record(NamedTuple):
    """One record of a topic; a topic is a list of them, in offset order within each partition."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
