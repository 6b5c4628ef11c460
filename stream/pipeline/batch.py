"""The micro-batch: a snapshot of users that is scored, published, written, and only then safe."""

from collections.abc import Iterator
from collections.abc import Sequence as Batches

from model.sequence import Sequence
from stream.events import DeadLetter
from stream.kafka.producer import Headers
from stream.pipeline.batcher import Taken
from stream.pipeline.partition import Partition
from stream.pipeline.shedding import Level
from stream.pipeline.users.forget import Forget
from stream.pipeline.users.snapshot_sequences import SnapshotSequences
from stream.pipeline.users.users import Snapshot
from stream.storage.applied_offset import expiry_headers, tombstone_headers


class PartitionBatch:
    """The part of a batch that comes from one partition."""

    def __init__(self, number: int) -> None:
        self.number = number
        # The lowest source offset in here: no later one may be committed until the batch is done.
        self.start: int | None = None
        self.snapshot: Snapshot | None = None  # None: nobody of this partition waited
        self.oldest_ms: int | None = None  # of the events that the scores cover; None: unknown
        self.expired: dict[bytes, int] = {}  # key → applied offset
        self.forgets: list[Forget] = []  # each needs a receipt
        self.dead: list[DeadLetter] = []
        self.tombstones: dict[bytes, Headers] = {}  # who is deleted from changelog and disk

    @property
    def rows(self) -> int:
        """The users to score."""
        return 0 if self.snapshot is None else len(self.snapshot)

    def extend_start(self, offset: int) -> None:
        """Cover this event too: it is safe only when the batch is done."""
        if self.start is None or offset < self.start:
            self.start = offset

    def changes(self) -> Iterator[tuple[bytes, bytes | None]]:
        """What the disk is to have: keys and values, None for who is deleted."""
        if self.snapshot is not None:
            yield from self.snapshot.changes()
        for key in self.tombstones:
            yield key, None


class Batch:
    """Users of several partitions, as they were when the batch closed.

    The changelog gets this snapshot, which is what was scored, and not what a user has become
    since.
    """

    def __init__(self, taken: Taken, partitions: dict[int, Partition]) -> None:
        self.parts: dict[int, PartitionBatch] = {}
        self.level: Level = "full"
        self.oldest_s = taken.oldest_s
        for number, count in taken.users.items():
            self._add_users(partitions[number], count)
        for partition in partitions.values():
            self._add_dead_letters(partition)

    @property
    def rows(self) -> int:
        """The users to score."""
        return sum(part.rows for part in self.parts.values())

    def sequences(self) -> Batches[Sequence]:
        """What the scorer gets, a sequence for each row, part by part."""
        parts = [part.snapshot.sequences() for part in self.parts.values() if part.snapshot]
        natives = [part for part in parts if isinstance(part, SnapshotSequences)]
        if natives:
            return SnapshotSequences([taken for part in natives for taken in part.snapshots])
        return [sequence for part in parts for sequence in part]

    def purge(self, partition: Partition, markers: dict[bytes, int]) -> None:
        """Delete these forget markers; each value is the offset of its ``forget``."""
        if markers:
            self._delete(partition, {key: tombstone_headers(at) for key, at in markers.items()})

    def expire(self, partition: Partition, users: dict[bytes, int]) -> None:
        """Delete these users, whose time to live is over; each value is an applied offset."""
        if users:
            self._part(partition.number).expired = users
            self._delete(partition, {key: expiry_headers(at) for key, at in users.items()})

    def settle(self, partitions: dict[int, Partition]) -> None:
        """The batch is on disk."""
        for part in self.parts.values():
            partitions[part.number].users.settle(part.snapshot, part.tombstones)

    def _delete(self, partition: Partition, tombstones: dict[bytes, Headers]) -> None:
        part = self._part(partition.number)
        if not part.tombstones:
            partition.users.hold(part.tombstones)
        part.tombstones |= tombstones

    def _add_users(self, partition: Partition, count: int) -> None:
        part = self._part(partition.number)
        part.snapshot = partition.users.take(count)
        part.extend_start(part.snapshot.start)
        times_ms = part.snapshot.first_times_ms()
        part.oldest_ms = min(times_ms[times_ms >= 0].tolist(), default=None)
        partition.markers |= part.snapshot.forgotten
        if partition.forgets:
            # The receipt belongs to the batch that withdraws the score. The user has waited at
            # least since the forget, so the batch holds back the commit of it as well.
            part.forgets += partition.take_forgets()

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
