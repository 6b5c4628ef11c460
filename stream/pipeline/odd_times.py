"""Odd times: says in the log how many events came late, or from the future, and by which rule."""

from collections import Counter
from collections.abc import Callable, Mapping

import structlog

from stream.user_state import Outcome, Rules

EVERY_S = 60.0
SHARE = 0.01  # of the events; a few late ones are usual where phones go offline
SHARE_OF_ONE = 0.5  # of the events of one partition, which much traffic in others may hide
LEAST_OF_ONE = 100  # events, so that a share of one partition says something
SHOWN = 10  # partitions in a line, at most
_log = structlog.get_logger(__name__)


class OddTimes:
    """Counts events by outcome, and logs a warning about late ones, and about future ones.

    ``clock`` is monotonic and in seconds.
    """

    def __init__(self, rules: Rules, clock: Callable[[], float]) -> None:
        self._warnings: dict[Outcome, _Warning] = {
            "late": _Warning(
                "late",
                "late events: older than their user's newest action by more than "
                "--allowed-lateness-ms, so counted but not added to the sequence; "
                "for a backfill, start the worker with a larger one",
                {"allowed_lateness_ms": rules.allowed_lateness_ms},
                clock,
            ),
            "future": _Warning(
                "future",
                "events from the future: ahead of their Kafka timestamp by more than "
                "--max-future-ms, so added at that timestamp; a producer's clock or time zone "
                "is wrong, or a mirror sets old timestamps",
                {"max_future_ms": rules.max_future_ms},
                clock,
            ),
        }

    def count(self, partition: int, outcomes: Mapping[Outcome, int]) -> None:
        """Count what became of a list of events of one partition."""
        events = sum(outcomes.values())
        for outcome, warning in self._warnings.items():
            warning.count(partition, outcomes.get(outcome, 0), events)

    def report(self) -> None:
        """Log those since the last line of their kind, if they are many; call it now and then."""
        for warning in self._warnings.values():
            warning.report()


class _Warning:
    """The warning about one outcome: one line in ``EVERY_S``, with the setting that decides."""

    def __init__(
        self, outcome: str, line: str, setting: dict[str, int], clock: Callable[[], float]
    ) -> None:
        self._outcome = outcome
        self._line = line
        self._setting = setting
        self._clock = clock
        self._found: Counter[int] = Counter()  # by partition
        self._events: Counter[int] = Counter()
        self._since_s = clock()
        self._logged_s = float("-inf")

    def count(self, partition: int, found: int, events: int) -> None:
        self._events[partition] += events
        if found:
            self._found[partition] += found

    def report(self) -> None:
        now_s = self._clock()
        if now_s - self._logged_s < EVERY_S:
            return
        if self._are_many():
            counts = {self._outcome: self._found.total(), "events": self._events.total()}
            partitions = [number for number, _ in self._found.most_common(SHOWN)]
            _log.warning(self._line, **counts, partitions=sorted(partitions), **self._setting)
            self._logged_s = now_s
        elif now_s - self._since_s < EVERY_S:
            return
        self._found.clear()
        self._events.clear()
        self._since_s = now_s

    def _are_many(self) -> bool:
        found = self._found.total()
        return found > 0 and (
            found >= SHARE * self._events.total()
            or any(
                n >= LEAST_OF_ONE and n >= SHARE_OF_ONE * self._events[number]
                for number, n in self._found.items()
            )
        )
