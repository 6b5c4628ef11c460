"""Progress: which source offsets are safe to commit, and what is still unfinished."""

from collections.abc import Mapping

from stream.pipeline.batcher import MicroBatcher
from stream.pipeline.in_flight import InFlight
from stream.pipeline.partition import Partition


class Progress:
    """Derives from the partitions, the waiting users and the batches in flight how far we are.

    It holds nothing of its own, so it cannot disagree with them.
    """

    def __init__(
        self, partitions: Mapping[int, Partition], batcher: MicroBatcher, in_flight: InFlight
    ) -> None:
        self._partitions = partitions
        self._batcher = batcher
        self._in_flight = in_flight

    def positions(self) -> dict[int, int]:
        """Per partition, the source offset below which everything is safe; none for one unread."""
        read = (partition for partition in self._partitions.values() if partition.next_offset >= 0)
        return {partition.number: self.position(partition) for partition in read}

    def position(self, partition: Partition) -> int:
        """The source offset of one partition below which everything is safe."""
        starts = self._in_flight.starts(partition.number)
        oldest = partition.users.oldest_waiting()
        if oldest is not None:
            starts.append(oldest.offset)
        return min([*starts, partition.oldest_unsafe])

    def oldest_unscored_ms(self) -> int | None:
        """Record timestamp of the oldest event read but not safe; None when there is none.

        Events without a timestamp do not count.
        """
        oldest = (self._oldest_unscored_ms(partition) for partition in self._partitions.values())
        return min((ms for ms in oldest if ms is not None), default=None)

    def oldest_unsafe_ms(self) -> dict[int, int]:
        """Per partition, the record timestamp of the oldest event that is read but not safe.

        Where there is none it is that of the last message read: one that is unread is younger.
        """
        found = {}
        for number, partition in self._partitions.items():
            oldest_ms = self._oldest_unscored_ms(partition)
            oldest_ms = partition.last_read_ms if oldest_ms is None else oldest_ms
            if oldest_ms >= 0:
                found[number] = oldest_ms
        return found

    def _oldest_unscored_ms(self, partition: Partition) -> int | None:
        times_ms = self._in_flight.oldest_ms(partition.number)
        oldest = partition.users.oldest_waiting()
        if oldest is not None:
            times_ms.append(oldest.timestamp_ms)
        return min((ms for ms in times_ms if ms >= 0), default=None)

    def is_busy(self) -> bool:
        """Whether a user or a dead letter waits, or a batch is in flight."""
        dead = any(partition.dead for partition in self._partitions.values())
        return bool(len(self._batcher) or self._in_flight or dead)
