"""The time limit of a training command: what is left of it at each phase."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from model.errors import DataError
from model.training.plan import Plan

# Writing, exporting and checking the network, on a core of its own: all, and for each item.
FINISHING_S, FINISHING_ITEM_S = 20.0, 1e-4
MOST_FINISHING = 1 / 3  # of what is left
LEAST = 50  # events to judge, whatever the time


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Counts from its making; without ``minutes`` there is no limit."""

    started_s: float
    minutes: float | None = None
    clock: Callable[[], float] = time.monotonic
    processor: Callable[[], float] = time.process_time

    @classmethod
    def of(cls, minutes: float | None) -> "TimeLimit":
        """A limit that begins now."""
        return cls(time.monotonic(), minutes)

    def spent_s(self) -> float:
        """The seconds since it began."""
        return self.clock() - self.started_s

    def left_s(self) -> float:
        """The seconds left; infinity without a limit."""
        return math.inf if self.minutes is None else 60 * self.minutes - self.spent_s()

    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.left_s() <= 0

    def affordable(self, count: int, each_s: float, share: float) -> int:
        """As many as can be done in a share of what is left, at ``each_s`` for each."""
        left_s = max(self.left_s(), 0.0)
        if left_s * share >= count * each_s:
            return count
        return min(count, max(LEAST, int(left_s * share / each_s)))

    def left_to_fit(self, plan: Plan, items: int) -> Plan:
        """The plan with the minutes in which its network is to be fitted and judged.

        What it takes to finish the artifact is kept back: more on a busy machine, where reading
        took longer than its processor time. Raises ``DataError`` if nothing is left.
        """
        left_s = self.left_s()
        busy = max(1.0, self.spent_s() / max(self.processor(), 1.0))
        finishing_s = (FINISHING_S + items * FINISHING_ITEM_S) * busy
        finishing_s = min(finishing_s, left_s * MOST_FINISHING)
        return self.within(plan, "reading the log", left_s - finishing_s)

    def within(self, plan: Plan, done: str, seconds: float) -> Plan:
        """The plan with this many seconds to train, after what is already done.

        Raises ``DataError`` if there are none.
        """
        if self.minutes is None:
            return plan
        if seconds <= 0:
            raise DataError(
                f"{done} took {self.spent_s():,.0f} s, which leaves no time to train; give more "
                "--minutes"
            )
        return replace(plan, recipe=replace(plan.recipe, minutes=seconds / 60))


NO_LIMIT = TimeLimit(0.0)
