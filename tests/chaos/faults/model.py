"""What befalls the model and the machine it runs on."""

import resource
import time
from pathlib import Path

from tests.chaos.faults.fault import fault
from tests.chaos.run import Run
from tests.kafka.artifact import write_sibling
from tests.kafka.bad_models import make_bad, switch

HANG_S = "4"
SPARE_BYTES = 24 << 20  # less than a backlog needs
ENOUGH_S = 60.0


@fault()
def inference_hangs(run: Run) -> None:
    """The model never answers: the worker ends in one line, and nothing of it is committed."""
    worker = run.start(sabotage="hang", scoring_timeout_s=HANG_S).wait_ready()
    run.flow(1_500).result()
    before = run.cluster.client.committed(run.stage.group, run.stage.events)
    run.harm(worker)
    run.feed(1_000)
    run.refuses(worker, "the scorer did not answer within")
    after = run.cluster.client.committed(run.stage.group, run.stage.events)
    ends = run.cluster.client.ends(run.stage.events)
    assert sum(ends.values()) - sum(after.values()) > 0, f"committed {before}, then {after}"
    run.harm(worker, on=False)
    run.healed()


@fault()
def inference_is_slow(run: Run) -> None:
    """The model takes ten times as long: batches grow, nobody leaves the group."""
    worker = run.start(sabotage="slow").wait_ready()
    run.harm(worker)
    run.flow(3_000, per_s=500).result()
    run.harm(worker, on=False)
    run.healed()


@fault()
def inference_raises(run: Run) -> None:
    """The model fails on batches now and then: they are halved until it does not."""
    _fail(run, "raise_now_and_then")


@fault()
def inference_says_nan(run: Run) -> None:
    """The model says NaN now and then: no NaN is ever published."""
    _fail(run, "say_nan")


@fault()
def inference_runs_out_of_memory(run: Run) -> None:
    """No batch of more than eight users fits: they are halved until they do."""
    _fail(run, "run_out_of_memory")


def _fail(run: Run, sabotage: str) -> None:
    worker = run.start(sabotage=sabotage).wait_ready()
    run.harm(worker)
    run.flow(3_000).result()
    run.stage.wait_committed()
    run.harm(worker, on=False)
    run.healed()


@fault(events=10_000)
def model_reload(run: Run) -> None:
    """Good and bad models follow one another, twice over, and the worker is killed in between."""
    good = run.stage.artifact
    sibling = write_sibling(good, run.folder / "sibling")
    bad = make_bad(sibling, run.folder).values()
    link = run.folder / "model"
    link.symlink_to(good)
    run.models = [good, sibling]
    run.stage.artifact = link
    settings = {"artifact_poll_s": "0.2"}
    run.start(**settings).wait_ready()
    for part in (1, 2):
        for target in run.random.sample([*bad, sibling, good], len(bad) + 2):
            flowing = run.flow(400, per_s=400)
            run.say(f"the link leads to {target.name}")
            switch(link, target)
            time.sleep(run.random.uniform(0.1, 1.5))
            flowing.result()
        switch(link, run.random.choice(run.models))
        time.sleep(run.random.uniform(0.0, 1.0))
        if part == 1:
            run.kill()
            run.start(**settings).wait_ready()
    run.healed()


@fault(events=20_000)
def out_of_memory(run: Run) -> None:
    """The process may have no more memory: it copes, or ends in one line."""
    worker = run.start().wait_ready()
    pid = worker.pid
    pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[0])
    limit = pages * resource.getpagesize() + SPARE_BYTES
    run.say(f"no more than {limit >> 20} MiB of address space")
    resource.prlimit(pid, resource.RLIMIT_AS, (limit, limit))
    run.feed(15_000)
    deadline_s = time.monotonic() + ENOUGH_S
    while worker.exit_code is None and not run.stage.committed_all():
        assert time.monotonic() < deadline_s, f"neither done nor ended\n{worker.tail()}"
        time.sleep(0.2)
    if worker.exit_code is None:
        run.kill()
    else:
        run.say(f"ended with {worker.exit_code}: {worker.tail(1)}")
        run.workers.clear()
    run.healed()


@fault()
def clock_ahead(run: Run) -> None:
    """The worker's clock goes an hour fast: no score depends on it."""
    run.start(sabotage="an_hour_ahead").wait_ready()
    run.flow(2_000).result()
    run.kill()
    run.healed()


@fault()
def clock_behind(run: Run) -> None:
    """The worker's clock goes an hour slow: no score depends on it."""
    run.start(sabotage="an_hour_behind").wait_ready()
    run.flow(2_000).result()
    run.kill()
    run.healed()
