"""What befalls the group: workers that come and go faster than it settles."""

import time

from tests.chaos.faults.fault import fault
from tests.chaos.run import Run

MOVES = 20


@fault(events=12_000)
def rebalance_storm(run: Run) -> None:
    """Three workers, of which one comes or goes every few seconds, twenty times."""
    for name in "abc":
        run.start(name)
    for move in range(MOVES):
        flowing = run.flow(500, per_s=250)
        time.sleep(run.random.uniform(0.5, 3.0))
        name = "abc"[move % 3] if run.random.random() < 0.5 else run.random.choice("abc")
        if name in run.workers:
            run.random.choice((run.kill, run.stop))(name)
            run.stage.interruptions += 1
        else:
            run.start(name)
        flowing.result()
    run.healed()
