"""The message: what the load writes to the events topic."""

from typing import NamedTuple


class BinaryName(str):
    """The name of a header that is no UTF-8, which brokers take nevertheless."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        """A byte that no UTF-8 has, before the name."""
        return b"\xff" + super().encode(encoding, errors)


class Message(NamedTuple):
    """One record to produce; the partition is ours to say, as a custom partitioner's would be."""

    partition: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()
