"""Health: whether the worker is alive, and whether it is ready.

Alive means that the event loop turns. A task beats every half second. A blocked event loop
neither beats nor answers, so the probe times out; if only the task has died, the heartbeat grows
old and /livez fails. The broker plays no part in liveness: restarting a worker repairs no broker.

Ready means that every condition is met; each unmet one has a reason.
"""

from typing import Literal, get_args

Condition = Literal["worker", "broker", "partitions", "state", "model"]

MAX_SILENCE_S = 10.0
_NOT_YET: dict[Condition, str] = {
    "worker": "the worker is starting",
    "broker": "no broker has answered yet",
    "partitions": "no partitions are assigned yet",
    "state": "the state is not recovered yet",
    "model": "the model is not warm yet",
}


class Health:
    """The last heartbeat, and the conditions that are not met; holds no clock."""

    def __init__(self, now_s: float, max_silence_s: float = MAX_SILENCE_S) -> None:
        self._last_beat_s = now_s
        self._max_silence_s = max_silence_s
        self._reasons: dict[Condition, str] = dict(_NOT_YET)

    def beat(self, now_s: float) -> None:
        """Record that the event loop turns."""
        self._last_beat_s = now_s

    def set_ok(self, condition: Condition) -> None:
        """Record that a condition is met."""
        self._reasons.pop(condition, None)

    def is_ok(self, condition: Condition) -> bool:
        """Whether a condition is met."""
        return condition not in self._reasons

    def set_failed(self, condition: Condition, reason: str) -> None:
        """Record that a condition is not met; ``reason`` is shown by /readyz."""
        self._reasons[condition] = reason

    def live(self, now_s: float) -> tuple[bool, str]:
        """Whether the last heartbeat is recent enough, and how old it is."""
        silence_s = now_s - self._last_beat_s
        reason = f"last heartbeat of the event loop {silence_s:.1f} s ago"
        return silence_s <= self._max_silence_s, reason

    def ready(self) -> tuple[bool, dict[Condition, str]]:
        """Whether every condition is met, and a reason for each that is not."""
        reasons = {
            name: self._reasons[name] for name in get_args(Condition) if name in self._reasons
        }
        return not reasons, reasons
