"""The topics of one group, by role, with the partition counts that may differ from the events'."""

from typing import NamedTuple


class Topics(NamedTuple):
    """Where a group reads events from, and where it writes."""

    events: str
    scores: str
    dead: str
    dead_partitions: int
    receipts: str
    receipt_partitions: int
    changelog: str
    group: str
