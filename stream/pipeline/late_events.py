"""Late events: says in the log how many were not added to a sequence, and by which rule."""

from collections.abc import Callable

import structlog

EVERY_S = 60.0
SHARE = 0.01  # of the events; a few late ones are usual where phones go offline
_log = structlog.get_logger(__name__)


class LateEvents:
    """Counts events and those that came late, and logs a warning about them once in ``EVERY_S``.

    ``clock`` is monotonic and in seconds.
    """

    def __init__(self, allowed_lateness_ms: int, clock: Callable[[], float]) -> None:
        self._allowed_lateness_ms = allowed_lateness_ms
        self._clock = clock
        self._events = 0
        self._late = 0
        self._since_s = clock()
        self._logged_s = float("-inf")

    def count(self, late: int, events: int) -> None:
        """Count a list of events."""
        self._late += late
        self._events += events

    def report(self) -> None:
        """Log the late events since the last line, if they are many; call it now and then."""
        now_s = self._clock()
        if now_s - self._logged_s < EVERY_S:
            return
        if self._late and self._late >= SHARE * self._events:
            _log.warning(
                "late events: older than their user's newest action by more than "
                "--allowed-lateness-ms, so counted but not added to the sequence; "
                "for a backfill, start the worker with a larger one",
                late=self._late,
                events=self._events,
                allowed_lateness_ms=self._allowed_lateness_ms,
            )
            self._logged_s = now_s
        elif now_s - self._since_s < EVERY_S:
            return
        self._events, self._late, self._since_s = 0, 0, now_s
