"""What befalls the worker's process: crashes anywhere, and being asked to end at any moment."""

import json
import shutil
import time
from signal import SIGCONT, SIGSTOP

from stream.failpoints import NAMES
from tests.chaos.faults.fault import fault
from tests.chaos.run import Run
from tests.kafka.message import Message
from tests.kafka.worker import Worker
from tests.oracle.hashing import partition_of

CRASH_S = 60.0
KILLS = 20


@fault(events=12_000)
def kill_at_failpoints(run: Run) -> None:
    """kill -9 at each place on a batch's way, the n-th time a batch comes by."""
    for place in run.random.sample(NAMES, len(NAMES)):
        # Some come more seldom: of a thousand events six ask to be forgotten.
        latest = {"committed": 2, "dead_sent": 3, "receipts_sent": 2}.get(place, 6)
        worker = run.start(crash_at=f"{place}:{run.random.randint(1, latest)}")
        run.flow(600, per_s=400).result()
        _feed_until_it_ends(run, worker)
        assert worker.exit_code == -9, f"{place} was not passed\n{worker.tail()}"
        run.workers.clear()
    run.healed()


def _feed_until_it_ends(run: Run, worker: Worker) -> None:
    """A few messages now and then: a backlog, read at once, may be one batch."""
    deadline_s = time.monotonic() + CRASH_S
    while worker.exit_code is None and time.monotonic() < deadline_s:
        run.feed(20)
        time.sleep(0.2)


@fault(events=10_000)
def kill_at_random_moments(run: Run) -> None:
    """kill -9, twenty times, some before the worker is ready."""
    for _ in range(KILLS):
        worker = run.start()
        flowing = run.flow(450)
        if run.random.random() < 0.7:
            worker.wait_ready()
        time.sleep(run.random.uniform(0.0, 0.6))
        run.kill()
        flowing.result()
    run.healed()


@fault(events=8_000)
def sigterm(run: Run) -> None:
    """SIGTERM while Python imports, while joining, while recovering, and in mid-batch."""
    for latest_s in (1.0, 2.5):
        run.start()
        flowing = run.flow(1_000)
        time.sleep(run.random.uniform(0.2, latest_s))
        run.stop()
        flowing.result()
    worker = run.start().wait_ready()
    run.flow(2_000).result()
    run.stop()
    shutil.rmtree(worker.state_dir)  # so that there is something to recover
    run.start()
    time.sleep(run.random.uniform(2.0, 4.0))
    run.stop()
    run.start().wait_ready()
    flowing = run.flow(2_000)
    time.sleep(run.random.uniform(0.1, 1.0))
    run.stop()
    flowing.result()
    run.healed()


@fault()
def frozen_worker(run: Run) -> None:
    """SIGSTOP for longer than the session time-out while another takes over, then SIGCONT."""
    run.let_records_come_late()
    frozen = run.start("a").wait_ready()
    run.flow(1_000).result()
    run.start("b").wait_ready()
    flowing = run.flow(2_000, per_s=250)
    time.sleep(run.random.uniform(0.5, 2.0))
    run.say("worker a is frozen")
    frozen.signal(SIGSTOP)
    flowing.result()
    time.sleep(6.0)
    frozen.signal(SIGCONT)
    run.stage.interruptions += 2  # the partitions go, and may come back
    run.healed()


@fault()
def lost_state_directory(run: Run) -> None:
    """kill -9 and the state directory is gone: everything is rebuilt from the changelog."""
    for _ in range(2):
        worker = run.start().wait_ready()
        flowing = run.flow(1_500)
        time.sleep(run.random.uniform(0.2, 1.0))
        run.kill()
        flowing.result()
        shutil.rmtree(worker.state_dir)
    run.healed()


@fault(events=8_000)
def forget_during_kill(run: Run) -> None:
    """Every third user asks to be forgotten while the worker is killed; nobody comes back."""
    users = {m.key: m for m in run.messages if m.key}
    run.start().wait_ready()
    run.flow(3_000).result()
    asked = run.random.sample(sorted(users), len(users) // 3)
    wishes = [
        Message(
            users[key].partition,
            users[key].timestamp_ms,
            key,
            json.dumps({"user_id": key.decode(), "action": "forget"}).encode(),
        )
        for key in asked
        if _is_a_user(users[key])
    ]
    for part in range(4):
        flowing = run.stage.flow(wishes[part::4], per_s=400)
        time.sleep(run.random.uniform(0.05, 0.4))
        run.kill()
        flowing.result()
        worker = run.start()
        if part % 2:
            worker.wait_ready()
    run.healed()


def _is_a_user(message: Message) -> bool:
    """Whether the key is a user id in its own partition: bad messages have others."""
    assert message.key is not None, "those without are left out"
    try:
        message.key.decode()
    except UnicodeDecodeError:
        return False
    return bool(message.key) and partition_of(message.key, 4) == message.partition
