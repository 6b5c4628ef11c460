"""The message: what the load writes to the events topic."""

from typing import NamedTuple


class Message(NamedTuple):
    """One record to produce; the partition is ours to say, as a custom partitioner's would be."""

    partition: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
