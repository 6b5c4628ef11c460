"""The write fence: detects records that another worker wrote into partitions that are ours."""

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from stream.errors import FencedError, OtherGroupError
from stream.kafka.producer import Delivery

TOLERATED_S = 20.0  # a repair takes two or three seconds, in which nobody is scored
TopicPartition = tuple[str, int]


class WriteFence:
    """Checks that our records are contiguous in topics that only the partition's owner writes.

    A gap in the offsets between two of our batches was filled by a worker that had lost the
    partition and did not know it yet, or by another group that writes to the same topic. While such
    a group is tolerated, gaps are only noted, or it would keep us from our work; later `overdue`
    says that they are to be repaired. ``clock`` is monotonic and in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[TopicPartition, int] = {}  # the offset that our next record must get
        self._in_flight: Counter[TopicPartition] = Counter()
        self._tolerated: dict[str, float] = {}  # topics, and until when
        self._foreign: dict[TopicPartition, int] = {}  # where the first tolerated gap begins

    def reset(self, ends: Mapping[TopicPartition, int]) -> None:
        """Start over after an assignment: these are the known ends, all others are unknown."""
        self._ends = dict(ends)
        self._in_flight.clear()
        self._tolerated.clear()
        self._foreign.clear()

    def tolerate(self, topic: str) -> None:
        """Only note foreign records in a topic for a while: a group that has no claim writes there.

        Call after `reset`.
        """
        self._tolerated[topic] = self._clock() + TOLERATED_S

    def note_foreign(self, partition: TopicPartition, end: int) -> bool:
        """Note foreign records between ours and this end; False where none are tolerated."""
        if self._clock() >= self._tolerated.get(partition[0], -math.inf):
            return False
        self._foreign.setdefault(partition, self._ends[partition])
        self._ends[partition] = end
        return True

    def overdue(self) -> FencedError | None:
        """The error for noted records that must be repaired now: the time of tolerance is over."""
        now_s = self._clock()
        for partition, end in self._foreign.items():
            if now_s >= self._tolerated.get(partition[0], -math.inf):
                return OtherGroupError(str(foreign_write(partition, end + 1)))
        return None

    def sending(self, topic: str, partition: int) -> None:
        """Register a batch that is about to be sent; not idle until it is acknowledged."""
        self._in_flight[topic, partition] += 1

    def acknowledged(self, topic: str, deliveries: Sequence[Delivery]) -> None:
        """Check the offsets of acknowledged deliveries; call in the order in which they were sent.

        Raises FencedError if another writer's records precede them.
        """
        if not deliveries:
            return
        metadata = deliveries[-1].acknowledged.result()
        partition = topic, int(metadata.partition)
        self._in_flight[partition] = max(0, self._in_flight[partition] - 1)
        end = int(metadata.offset) + deliveries[-1].records
        first = end - sum(delivery.records for delivery in deliveries)
        expected = self._ends.pop(partition, None)
        if first < 0:  # a retried request whose offset the broker no longer knows
            return
        if expected is not None and expected != first:
            self._ends[partition] = expected  # a pending commit must not claim more than this
            if not self.note_foreign(partition, first):
                raise foreign_write(partition, first)
        self._ends[partition] = end

    def ends(self, topic: str) -> dict[int, int]:
        """The end of our own records in each partition of a topic, where it is known.

        It is before the first foreign record that is not repaired yet.
        """
        return {
            partition: self._foreign.get((name, partition), end)
            for (name, partition), end in self._ends.items()
            if name == topic
        }

    def idle_ends(self) -> dict[TopicPartition, int]:
        """The ends of the partitions for which nothing is in flight."""
        return {
            partition: end
            for partition, end in self._ends.items()
            if not self._in_flight[partition]
        }


def foreign_write(partition: TopicPartition, offset: int) -> FencedError:
    """The error for another writer's records in our partition, the last one before ``offset``."""
    topic, number = partition
    return FencedError(
        f"{topic}: another writer appended to partition {number} before offset {offset}, where "
        "this worker must be the only one; a fenced worker does so once, another group again and "
        "again: give each group its own topic"
    )
