"""The evidence: everything a run left in Kafka, and how often it was disturbed."""

from itertools import zip_longest
from typing import NamedTuple

from tests.oracle.record import Record


class Evidence(NamedTuple):
    """What the oracle may look at.

    ``interruptions`` counts the moments at which a partition may have been replayed: worker
    starts beyond the first, kills and rebalances. Without any, nothing may be written twice.
    """

    events_topic: str
    n_partitions: int
    n_dead_partitions: int
    n_receipt_partitions: int
    events: list[Record]
    changelog: list[Record]
    scores: list[Record]
    dead: list[Record]
    receipts: list[Record]
    committed: dict[int, int]  # next offset to read, by partition; absent: never committed
    ends: dict[int, int]  # log end offset of the events topic, by partition
    group: str
    interruptions: int = 0


class Difference(NamedTuple):
    """One thing that is not as it should be."""

    check: str
    where: str
    found: object
    expected: object

    def __str__(self) -> str:
        where, found, expected = _narrow(self.where, self.found, self.expected)
        return f"{self.check}: {where}\n    found    {found}\n    expected {expected}"


def _narrow(where: str, found: object, expected: object) -> tuple[str, str, str]:
    """Of two rows, the first place where they part; of other long values, the beginning."""
    if isinstance(found, tuple | list) and isinstance(expected, tuple | list):
        pairs = enumerate(zip_longest(found, expected, fillvalue="nothing"))
        index, (one, other) = next((at, pair) for at, pair in pairs if pair[0] != pair[1])
        place = f"{where}[{index}] of {len(found)} and {len(expected)}"
        return place, _short(one), _short(other)
    return where, _short(found), _short(expected)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 300 else f"{text[:300]}…"
