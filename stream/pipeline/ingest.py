"""Ingest: folds fetched messages into the users of their partition, and counts the outcomes."""

from collections.abc import Callable, Mapping, Sequence

from stream.events import DeadLetter, Message, clock_of
from stream.metrics import Metrics
from stream.pipeline.batcher import MicroBatcher
from stream.pipeline.odd_times import OddTimes
from stream.pipeline.partition import Partition
from stream.user_state import Outcome


class Ingest:
    """Steps 1 and 2 of the pipeline: validate, fold. ``clock`` is monotonic and in seconds."""

    def __init__(
        self,
        batcher: MicroBatcher,
        odd_times: OddTimes,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._batcher = batcher
        self._metrics = metrics
        self._clock = clock
        self.odd_times = odd_times

    def add(self, partition: Partition, messages: Sequence[Message]) -> None:
        """Take messages of one partition in offset order; users with news wait for a score.

        Raises StateError if a user's state cannot be read; then no message counts as read.
        """
        if messages[0].offset > partition.next_offset >= 0:
            partition.gaps.append((partition.next_offset, messages[0].offset))
        folded = partition.users.fold(messages)
        now_s = self._clock()
        self._batcher.add(now_s, partition.number, folded.waiting)
        for forget in folded.forgets:
            partition.forgets.setdefault(forget.event.key, []).append(forget)
        if folded.dead:
            partition.dead += folded.dead
            self._batcher.request_flush(now_s)
        partition.next_offset = messages[-1].offset + 1
        partition.last_read_ms = clock_of(messages[-1])
        self._count(partition.number, folded.outcomes, folded.dead)

    def _count(
        self, partition: int, counts: Mapping[Outcome, int], dead: Sequence[DeadLetter]
    ) -> None:
        metrics = self._metrics
        self.odd_times.count(partition, counts)
        for outcome, n in counts.items():
            metrics.events[outcome].inc(n)
            if outcome in ("replayed", "duplicate"):
                metrics.duplicates_skipped.inc(n)
        if dead:
            metrics.events["dead"].inc(len(dead))
