"""The status log: how the worker is, one line at each change, in its own words."""

from collections.abc import Callable, Collection

import structlog

from stream.health import Health

AWAY_EVERY_S = 60.0
_log = structlog.get_logger(__name__)


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

    def report(
        self, partitions: Collection[int], model: str, answered_s: float, unscored_users: int
    ) -> None:
        """Log what has changed since the last call; call it about once a second.

        ``answered_s`` is when the broker last answered.
        """
        self._report_broker(answered_s, unscored_users)
        self._report_readiness(tuple(sorted(partitions)), model)

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
