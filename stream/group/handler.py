"""The sink: where the bulk lane hands over partitions and their records."""

from collections.abc import Sequence
from typing import Protocol

from stream.events import Message


class Sink(Protocol):
    """Who takes the records of the events topic."""

    async def recover(self, partitions: frozenset[int]) -> None:
        """These partitions are ours from now on: recover their state, then return."""
        ...

    async def ingest(self, partition: int, messages: Sequence[Message]) -> None:
        """Take records of one partition, each once per assignment; return when there is room."""
        ...

    async def revoke(self) -> None:
        """All partitions are taken from us: finish and commit what can be, then let go."""
        ...
