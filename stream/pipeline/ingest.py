"""Ingest: validates fetched messages and folds them into the states of their users."""

from collections import Counter
from collections.abc import Callable, Sequence

from stream.events import DeadLetter, Event, Message, Validator, clock_of
from stream.metrics import Metrics
from stream.pipeline.batcher import MicroBatcher
from stream.pipeline.late_events import LateEvents
from stream.pipeline.partition import Forget, Partition
from stream.user_state import Outcome, Rules

_SCORABLE = frozenset({"applied", "late", "future"})


class Ingest:
    """Steps 1 and 2 of the pipeline: validate, fold. ``clock`` is monotonic and in seconds."""

    def __init__(
        self,
        validator: Validator,
        rules: Rules,
        batcher: MicroBatcher,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self._validator = validator
        self._rules = rules
        self._batcher = batcher
        self._metrics = metrics
        self._clock = clock
        self.late_events = LateEvents(rules.allowed_lateness_ms, clock)

    def add(self, partition: Partition, messages: Sequence[Message]) -> None:
        """Take messages of one partition in offset order; users with news wait for a score.

        Raises StateError if a user's state cannot be read; then no message counts as read.
        """
        if messages[0].offset > partition.next_offset >= 0:
            partition.gaps.append((partition.next_offset, messages[0].offset))
        events, dead = self._validator.validate(messages, partition.number)
        partition.users.load(event.key for event in events)
        now_s = self._clock()
        outcomes = self._fold(partition, events, now_s)
        if dead:
            partition.dead += dead
            self._batcher.request_flush(now_s)
        partition.next_offset = messages[-1].offset + 1
        partition.last_read_ms = clock_of(messages[-1])
        self._count(Counter(outcomes), dead)

    def _fold(self, partition: Partition, events: Sequence[Event], now_s: float) -> list[Outcome]:
        # Bound once: this loop runs for every event.
        add, get, rules = self._batcher.add, partition.users.get, self._rules
        number = partition.number
        outcomes = []
        for event in events:
            user = get(event.key)
            outcome = user.apply(event, rules)
            outcomes.append(outcome)
            if outcome in _SCORABLE:
                add(now_s, number, event)
            elif outcome == "forgotten":
                add(now_s, number, event)
                partition.forgets.setdefault(event.key, []).append(Forget(event, user.removed))
        return outcomes

    def _count(self, counts: Counter[Outcome], dead: Sequence[DeadLetter]) -> None:
        metrics = self._metrics
        self.late_events.count(counts["late"], counts.total())
        for outcome, n in counts.items():
            metrics.events[outcome].inc(n)
            if outcome in ("replayed", "duplicate"):
                metrics.duplicates_skipped.inc(n)
        if dead:
            metrics.events["dead"].inc(len(dead))
