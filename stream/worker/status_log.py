"""The status log: how the worker is, one line at each change, in its own words."""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass

import structlog

from stream.health import Health
from stream.pipeline.shedding import Level

AWAY_EVERY_S = 60.0
SETTLED_S = 10.0  # a strain that returns within it was never over
LOW_DISK_BYTES = 1 << 30  # as the alert LatelyDiskLow
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Strain:
    """What a worker does or suffers under load."""

    paused_partitions: int = 0
    level: Level = "full"
    free_bytes: float = math.inf  # on the disk of the state; not a number if it cannot be read


class Ongoing:
    """One strain: a warning when it begins, and a line when it has been over for ``SETTLED_S``."""

    def __init__(self, begins: str, ends: str, clock: Callable[[], float]) -> None:
        self._begins, self._ends = begins, ends
        self._clock = clock
        self._since_s: float | None = None
        self._last_s = 0.0

    @property
    def is_on(self) -> bool:
        """Whether it has begun and is not over."""
        return self._since_s is not None

    def report(self, holds: bool, **facts: object) -> None:
        """Log what has changed since the last call."""
        now_s = self._clock()
        if holds:
            self._last_s = now_s
            if self._since_s is None:
                self._since_s = now_s
                _log.warning(self._begins, **facts)
        elif self._since_s is not None and now_s - self._last_s >= SETTLED_S:
            _log.info(self._ends, lasted_s=round(self._last_s - self._since_s, 1), **facts)
            self._since_s = None


class StatusLog:
    """Logs when the worker becomes ready and why it no longer is, and each outage of the broker.

    ``address`` is where its HTTP server answers; ``clock`` is monotonic and in seconds.
    """

    def __init__(self, health: Health, address: str, clock: Callable[[], float]) -> None:
        self._health = health
        self._address = address
        self._clock = clock
        self._ready_with: tuple[int, ...] | None = None  # the partitions of the last "ready"
        self._away_since_s: float | None = None
        self._logged_s = 0.0
        self._paused = Ongoing(
            "partitions are paused, too many users wait for a batch; their events stay in Kafka",
            "partitions are read again",
            clock,
        )
        self._degraded = Ongoing(
            "overload: scores list fewer items", "scores list all their items again", clock
        )
        self._cold = Ongoing(
            "overload: scores are those of a new user", "scores are the users' own again", clock
        )
        self._low_disk = Ongoing(
            "little room is left on the disk of the state, and a full disk ends the worker",
            "there is room on the disk of the state again",
            clock,
        )

    def report(
        self,
        partitions: Collection[int],
        model: str,
        answered_s: float,
        unscored_users: int,
        strain: Strain = Strain(),
    ) -> None:
        """Log what has changed since the last call; call it about once a second.

        ``answered_s`` is when the broker last answered.
        """
        self._report_broker(answered_s, unscored_users)
        self._report_readiness(tuple(sorted(partitions)), model)
        self._report_strain(strain, unscored_users)

    def _report_broker(self, answered_s: float, unscored_users: int) -> None:
        now_s, since_s = self._clock(), self._away_since_s
        if self._health.is_ok("broker"):
            if since_s is not None:
                away_s = round(answered_s - since_s, 1)
                _log.info("the broker answers again", away_s=away_s, unscored_users=unscored_users)
            self._away_since_s = None
        elif since_s is None or now_s - self._logged_s >= AWAY_EVERY_S:
            self._away_since_s = answered_s if since_s is None else since_s
            self._logged_s = now_s
            _log.warning(
                "the broker does not answer; events wait in it, and nothing is lost",
                away_s=round(now_s - self._away_since_s, 1),
                unscored_users=unscored_users,
            )

    def _report_readiness(self, partitions: tuple[int, ...], model: str) -> None:
        ready, reasons = self._health.ready()
        if not ready:
            if self._ready_with is not None and "broker" not in reasons:
                _log.info("not ready", reasons="; ".join(reasons.values()))
            self._ready_with = None
        elif self._ready_with != partitions:
            self._ready_with = partitions
            _log.info("ready", http=self._address, partitions=list(partitions), model=model)

    def _report_strain(self, strain: Strain, unscored_users: int) -> None:
        self._paused.report(strain.paused_partitions > 0, unscored_users=unscored_users)
        self._degraded.report(strain.level == "short", unscored_users=unscored_users)
        self._cold.report(strain.level == "cold", unscored_users=unscored_users)
        # A disk that is filled and emptied around the limit is one strain.
        limit_bytes = LOW_DISK_BYTES * (1.1 if self._low_disk.is_on else 1)
        self._low_disk.report(strain.free_bytes < limit_bytes, free_bytes=strain.free_bytes)
