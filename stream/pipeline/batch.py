"""The micro-batch: a snapshot of users that is scored, published, written, and only then safe."""

from typing import NamedTuple

from model.sequence import Sequence
from stream.events import DeadLetter
from stream.kafka.producer import Headers
from stream.pipeline.batcher import Taken, Waiting
from stream.pipeline.encoding import AsOf
from stream.pipeline.partition import Forget, Partition
from stream.pipeline.shedding import Level
from stream.storage.applied_offset import expiry_headers, tombstone_headers


class Row(NamedTuple):
    """One user to score."""

    key: bytes
    as_of: AsOf
    n_events: int
    waiting: Waiting


class PartitionBatch:
    """The part of a batch that comes from one partition."""

    def __init__(self, number: int) -> None:
        self.number = number
        # The lowest source offset in here: no later one may be committed until the batch is done.
        self.start: int | None = None
        self.rows: list[Row] = []
        self.sequences: list[Sequence] = []  # one per row
        self.forgotten: dict[bytes, int] = {}  # key → offset of the forget
        self.expired: dict[bytes, int] = {}  # key → applied offset
        self.forgets: list[Forget] = []  # each needs a receipt
        self.dead: list[DeadLetter] = []
        self.changes: dict[bytes, bytes | None] = {}
        self.headers: dict[bytes, Headers] = {}  # of the changes that are tombstones

    def extend_start(self, offset: int) -> None:
        """Cover this event too: it is safe only when the batch is done."""
        if self.start is None or offset < self.start:
            self.start = offset


class Batch:
    """Users of several partitions, as they were when the batch closed.

    The changelog gets this snapshot, which is what was scored, and not what a user has become
    since.
    """

    def __init__(self, taken: list[Taken], partitions: dict[int, Partition]) -> None:
        self.parts: dict[int, PartitionBatch] = {}
        self.level: Level = "full"
        self.oldest_s = min((waiting.since_s for _, _, waiting in taken), default=None)
        for number, key, waiting in taken:
            self._add_user(partitions[number], key, waiting)
        for partition in partitions.values():
            self._add_dead_letters(partition)
        self.rows = [row for part in self.parts.values() for row in part.rows]
        self.sequences = [seq for part in self.parts.values() for seq in part.sequences]

    def keys(self, number: int) -> dict[bytes, bytes | None]:
        """The users of a partition who are being written."""
        part = self.parts.get(number)
        return part.changes if part is not None else {}

    def purge(self, partition: Partition, markers: dict[bytes, int]) -> None:
        """Delete these forget markers; each value is the offset of its ``forget``."""
        if markers:
            part = self._part(partition.number)
            part.changes.update(dict.fromkeys(markers))
            part.headers |= {key: tombstone_headers(at) for key, at in markers.items()}

    def expire(self, partition: Partition, users: dict[bytes, int]) -> None:
        """Delete these users, whose time to live is over; each value is an applied offset."""
        if users:
            part = self._part(partition.number)
            part.expired = users
            part.changes.update(dict.fromkeys(users))
            part.headers |= {key: expiry_headers(at) for key, at in users.items()}

    def _add_user(self, partition: Partition, key: bytes, waiting: Waiting) -> None:
        part = self._part(partition.number)
        state = partition.users.get(key)
        part.extend_start(waiting.first.offset)
        part.changes[key] = state.to_bytes()
        if partition.forgets:
            # The receipt belongs to the batch that withdraws the score. The user has waited at
            # least since the forget, so the batch holds back the commit of it as well.
            part.forgets += partition.forgets.pop(key, ())
        if state.forgotten:
            part.forgotten[key] = partition.markers[key] = state.applied_offset
        else:
            sequence = state.sequence()
            as_of = AsOf(partition.number, state.applied_offset, sequence.now_ms)
            part.rows.append(Row(key, as_of, len(state.items), waiting))
            part.sequences.append(sequence)

    def _add_dead_letters(self, partition: Partition) -> None:
        if partition.dead:
            part = self._part(partition.number)
            part.extend_start(partition.dead[0].message.offset)
            part.dead, partition.dead = partition.dead, []

    def _part(self, number: int) -> PartitionBatch:
        part = self.parts.get(number)
        if part is None:
            part = self.parts[number] = PartitionBatch(number)
        return part
