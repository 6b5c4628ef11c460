"""The micro-batch: a snapshot of what is scored, published, written and then safe."""

from typing import NamedTuple

from model.sequence import Sequence
from stream.events import DeadLetter, Event
from stream.kafka.producer import Headers
from stream.pipeline.batcher import Taken, Waiting
from stream.pipeline.encoding import AsOf
from stream.pipeline.partition import Partition
from stream.pipeline.shedding import Level
from stream.storage.applied_offset import headers_of_null


class Row(NamedTuple):
    """One user to score."""

    key: bytes
    as_of: AsOf
    n_events: int
    waiting: Waiting


class Share:
    """What one partition has in a batch."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.start: int | None = (
            None  # lowest source offset in here: what may be committed until done
        )
        self.rows: list[Row] = []
        self.sequences: list[Sequence] = []  # one per row
        self.forgotten: dict[bytes, int] = {}  # key → offset of the forget
        self.forgets: list[Event] = []  # each owes a receipt
        self.dead: list[DeadLetter] = []
        self.changes: dict[bytes, bytes | None] = {}
        self.headers: dict[bytes, Headers] = {}  # of the changes that are tombstones

    def reach_back(self, offset: int) -> None:
        """This event is safe only when the batch is done."""
        if self.start is None or offset < self.start:
            self.start = offset


class Batch:
    """Users of several partitions, as they were when the batch closed.

    What is written to the changelog is this snapshot, which was scored; not what a user has
    become since.
    """

    def __init__(self, taken: list[Taken], partitions: dict[int, Partition]) -> None:
        self.shares: dict[int, Share] = {}
        self.level: Level = "full"
        self.oldest_s = min((waiting.since_s for _, _, waiting in taken), default=None)
        for number, key, waiting in taken:
            self._add_user(partitions[number], key, waiting)
        for partition in partitions.values():
            self._add_dead_letters(partition)
        self.rows = [row for share in self.shares.values() for row in share.rows]
        self.sequences = [seq for share in self.shares.values() for seq in share.sequences]

    def keys(self, number: int) -> dict[bytes, bytes | None]:
        """The users of a partition who are being written."""
        share = self.shares.get(number)
        return share.changes if share is not None else {}

    def purge(self, partition: Partition, markers: dict[bytes, int]) -> None:
        """Delete these forget markers, each of a ``forget`` at this offset."""
        if markers:
            share = self._share(partition.number)
            share.changes.update(dict.fromkeys(markers))
            share.headers = {key: headers_of_null(at) for key, at in markers.items()}

    def _add_user(self, partition: Partition, key: bytes, waiting: Waiting) -> None:
        share = self._share(partition.number)
        state = partition.users.get(key)
        share.reach_back(waiting.first.offset)
        share.changes[key] = state.to_bytes()
        if partition.forgets:
            # With the user, and not before: the batch that withdraws the score says so. The user
            # has waited since the forget or longer, so it holds the commit back as well.
            share.forgets += partition.forgets.pop(key, ())
        if state.forgotten:
            share.forgotten[key] = partition.markers[key] = state.applied_offset
        else:
            as_of = AsOf(partition.number, state.applied_offset, state.as_of_ms)
            share.rows.append(Row(key, as_of, len(state.items), waiting))
            share.sequences.append(state.sequence())

    def _add_dead_letters(self, partition: Partition) -> None:
        if partition.dead:
            share = self._share(partition.number)
            share.reach_back(partition.dead[0].message.offset)
            share.dead, partition.dead = partition.dead, []

    def _share(self, number: int) -> Share:
        share = self.shares.get(number)
        if share is None:
            share = self.shares[number] = Share(number)
        return share
