"""What befalls the brokers: killed, frozen, and the leader lost."""

import time

from tests.chaos.cluster import wait_for_brokers
from tests.chaos.faults.fault import fault
from tests.chaos.run import Run

SILENCE_S = 10.0  # within so long a worker must have noticed that no broker answers


@fault("own")
def broker_restart(run: Run) -> None:
    """The only broker is killed in mid-flow, stays away for some seconds, and comes back."""
    run.start().wait_ready()
    run.flow(2_000).result()
    gone_s = time.monotonic()
    run.say("the broker is killed")
    run.cluster.broker.kill()
    time.sleep(SILENCE_S + run.random.uniform(2.0, 5.0))
    run.unwell(gone_s + SILENCE_S, time.monotonic())
    run.cluster.broker.resume()
    run.healed()
    run.feed(2_000)


@fault("own")
def broker_paused_5_s(run: Run) -> None:
    """The broker stands still for five seconds: nobody loses a partition over it."""
    _pause(run, 5.0)


@fault("own")
def broker_paused_90_s(run: Run) -> None:
    """The broker stands still for ninety seconds: the worker says so, lives, and goes on."""
    _pause(run, 90.0)


def _pause(run: Run, pause_s: float) -> None:
    run.start().wait_ready()
    run.feed(2_000)
    time.sleep(run.random.uniform(0.0, 0.3))
    frozen_s = time.monotonic()
    run.say(f"the broker is frozen for {pause_s:g} s")
    run.cluster.broker.freeze()
    time.sleep(pause_s)
    if pause_s > SILENCE_S:
        run.unwell(frozen_s + SILENCE_S, time.monotonic())
    run.cluster.broker.thaw()
    # A group that nobody could reach for longer than the session may have been dealt out again.
    run.stage.interruptions += 1
    run.healed()
    run.feed(2_000)


@fault("three")
def leader_loss(run: Run) -> None:
    """Three brokers, of which one after the other is killed and comes back."""
    wait_for_brokers(run.cluster, 3)
    run.start().wait_ready()
    for broker in run.random.sample(run.cluster.brokers, 2):
        flowing = run.flow(1_500, per_s=500)
        time.sleep(run.random.uniform(0.2, 1.5))
        run.say(f"the broker at {broker.bootstrap} is killed")
        broker.kill()
        flowing.result()
        time.sleep(2.0)
        broker.resume()
        wait_for_brokers(run.cluster, 3)
    run.stage.interruptions += 2  # the group's coordinator may have moved
    run.healed()
