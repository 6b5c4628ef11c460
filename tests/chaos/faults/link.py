"""What befalls the network between a worker and its broker."""

import time

from tests.chaos.faults.fault import fault
from tests.chaos.run import Run

SESSION_S = 6.0


@fault("linked")
def slow_link(run: Run) -> None:
    """A quarter of a second each way, for a while."""
    run.start("a").wait_ready()
    run.cluster.links["a"].slow(0.25)
    run.say("the link is slow")
    run.flow(3_000, per_s=500).result()
    run.cluster.links["a"].heal()
    run.healed()


@fault("linked")
def reset_link(run: Run) -> None:
    """Every connection is cut, again and again."""
    run.start("a").wait_ready()
    flowing = run.flow(4_000, per_s=500)
    for _ in range(5):
        time.sleep(run.random.uniform(0.3, 1.5))
        run.say("the link is cut")
        run.cluster.links["a"].reset()
    flowing.result()
    run.stage.interruptions += 5
    run.healed()


@fault("linked")
def half_open_link(run: Run) -> None:
    """What the worker sends arrives, and no answer comes back, for longer than a session."""
    _lose(run, "back")


@fault("linked")
def partitioned_worker(run: Run) -> None:
    """A worker is cut off for longer than a session; another takes over; the first comes back."""
    _lose(run, "out", "back")


def _lose(run: Run, *ways: str) -> None:
    run.let_records_come_late()
    run.start("a").wait_ready()
    run.flow(1_000).result()
    run.start("b").wait_ready()
    flowing = run.flow(3_000, per_s=200)
    time.sleep(run.random.uniform(0.5, 3.0))
    lost_s = time.monotonic()
    run.say(f"worker a hears and says nothing any more: {', '.join(ways)}")
    run.cluster.links["a"].stall(*ways)
    time.sleep(SESSION_S + 8.0)
    run.unwell(lost_s + SESSION_S + 5.0, time.monotonic(), "a")
    run.cluster.links["a"].heal()
    run.stage.interruptions += 2
    flowing.result()
    run.healed()
    time.sleep(2.0)
