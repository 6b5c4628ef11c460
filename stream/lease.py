"""The lease: for how long after a heartbeat the group must take our partitions for ours."""

import time
from collections.abc import Callable


class Lease:
    """Held for one session time-out from when the last heartbeat that was answered was sent.

    The broker counts the session from when the heartbeat came, which is later, so nobody else can
    have our partitions while we hold it. Without it someone may, and what we write could win over
    what they have written since. ``clock`` is monotonic and in seconds.
    """

    def __init__(self, session_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._session_s = session_s
        self._clock = clock
        self._ends_s = float("-inf")

    def renew(self, sent_s: float) -> None:
        """A heartbeat that was sent at this moment was answered; from whichever thread."""
        self._ends_s = max(self._ends_s, sent_s + self._session_s)

    def held(self) -> bool:
        """Whether the partitions are still ours for certain."""
        return self._clock() < self._ends_s
