"""The promises, on real Kafka: whatever happens to the worker, the oracle finds no difference."""

import shutil
import time
from collections.abc import Sequence
from itertools import pairwise
from random import Random

import pytest

from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.message import Message
from tests.kafka.profiles import PROFILES
from tests.kafka.stage import Stage
from tests.oracle.answers import Answers
from tests.oracle.ledger import keep
from tests.oracle.rules import DEFAULT_RULES
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

SEEDS = range(5)
PER_S = 2500  # events a second while something happens to the worker
SESSION_S = "6"  # the shortest that a broker takes, unless it is told otherwise


def assert_nothing_differs(stage: Stage, answers: Answers) -> None:
    differences = examine(stage.evidence(), answers)
    assert not differences, report(differences)


def cut(messages: Sequence[Message], pieces: int) -> list[Sequence[Message]]:
    size = -(-len(messages) // pieces)
    return [messages[start : start + size] for start in range(0, len(messages), size)]


@pytest.mark.parametrize("seed", SEEDS)
def test_undisturbed(seed: int, open_stage: OpenStage, load: MakeLoad, answers: Answers) -> None:
    stage, messages = open_stage(PROFILES[seed]), load(seed)
    stage.feed(messages[: len(messages) // 4])  # a backlog, from before the first start
    worker = stage.start().wait_ready()
    stage.flow(messages[len(messages) // 4 :], per_s=5000).result()
    stage.wait_quiet()
    counted = worker.outcomes()
    worker.stop()

    evidence = stage.evidence()
    differences = examine(evidence, answers)
    assert not differences, report(differences)
    ledger = keep(evidence.events, evidence.n_partitions, DEFAULT_RULES)
    assert +counted == +ledger.outcomes


@pytest.mark.parametrize("seed", SEEDS)
def test_five_kills_at_random_moments(
    seed: int, open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage, chance = open_stage(PROFILES[seed]), Random(seed)
    *pieces, rest = cut(load(seed), 6)
    too_early = chance.randrange(len(pieces))  # one kill may come before the worker is ready
    for number, piece in enumerate(pieces):
        worker = stage.start()
        if number == too_early:
            flowing = stage.flow(piece, PER_S)
            time.sleep(chance.uniform(0.2, 4.0))
        else:
            worker.wait_ready()
            flowing = stage.flow(piece, PER_S)
            time.sleep(chance.uniform(0.05, len(piece) / PER_S))
        worker.kill()
        flowing.result()
    worker = stage.start()
    stage.feed(rest)
    stage.wait_quiet()
    worker.stop()

    assert_nothing_differs(stage, answers)


@pytest.mark.parametrize("seed", SEEDS)
def test_state_directory_deleted_between_two_runs(
    seed: int, open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage, chance = open_stage({**PROFILES[seed], "session_timeout_s": SESSION_S}), Random(seed)
    first, second = cut(load(seed), 2)
    worker = stage.start().wait_ready()
    flowing = stage.flow(first, PER_S * 2)
    time.sleep(chance.uniform(0.5, len(first) / PER_S / 2))
    if seed % 2:
        worker.kill()
    else:
        worker.stop()
    flowing.result()
    shutil.rmtree(worker.state_dir)

    worker = stage.start()
    stage.feed(second)
    stage.wait_quiet()
    worker.stop()
    assert_nothing_differs(stage, answers)

    # Once more, with nothing new to read (O6): what is rebuilt needs no word.
    before = stage.progress()
    shutil.rmtree(worker.state_dir)
    stage.start().wait_ready().stop()
    assert stage.progress() == before
    assert_nothing_differs(stage, answers)


@pytest.mark.parametrize("seed", SEEDS)
def test_second_worker_joins_and_leaves(
    seed: int, open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage, chance = open_stage({**PROFILES[seed], "session_timeout_s": SESSION_S}), Random(seed)
    first, second, third = cut(load(seed), 3)
    stays = stage.start("a").wait_ready()
    flowing = stage.flow(first, PER_S)
    leaves = stage.start("b").wait_ready()
    flowing.result()
    flowing = stage.flow(second, PER_S)
    time.sleep(chance.uniform(0.1, len(second) / PER_S))
    if seed % 2:
        leaves.kill()
    else:
        leaves.stop()
    flowing.result()
    stage.flow(third, PER_S).result()
    stage.interruptions += 1  # the leaving is one, as the joining was
    stage.wait_quiet()
    stays.stop()

    assert_nothing_differs(stage, answers)


@pytest.mark.parametrize("seed", [0, 1])
def test_three_workers_that_come_and_go(
    seed: int, open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage, chance = open_stage({**PROFILES[seed], "session_timeout_s": SESSION_S}), Random(seed)
    running = {name: stage.start(name) for name in "abc"}
    for piece in cut(load(seed), 10):
        flowing = stage.flow(piece, per_s=500)
        name = chance.choice("abc")
        time.sleep(chance.uniform(0.0, 3.0))
        if worker := running.pop(name, None):
            chance.choice([worker.kill, worker.stop])()
            stage.interruptions += 1
        else:
            running[name] = stage.start(name)
        flowing.result()
    if not running:
        running["a"] = stage.start("a")
    stage.wait_quiet()
    for worker in running.values():
        worker.stop()

    assert_nothing_differs(stage, answers)


@pytest.mark.parametrize("seed", SEEDS)
def test_sigterm_in_mid_batch_and_while_joining(
    seed: int, open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage, chance = open_stage(PROFILES[seed]), Random(seed)
    *pieces, rest = cut(load(seed), 4)
    # While Python imports, while the worker joins, and amid the events.
    for latest_s, when_ready, piece in zip(
        (1.0, 2.5, None), (False, False, True), pieces, strict=True
    ):
        worker = stage.start()
        flowing = stage.flow(piece, PER_S)
        if when_ready:
            worker.wait_ready()
        time.sleep(chance.uniform(0.3, latest_s or len(piece) / PER_S))
        worker.stop(timeout_s=10.0)
        flowing.result()
    worker = stage.start()
    stage.feed(rest)
    stage.wait_quiet()
    worker.stop()

    assert_nothing_differs(stage, answers)


def test_profiles_differ() -> None:
    assert all(one != other for one, other in pairwise(PROFILES))
    assert len(PROFILES) == len(SEEDS)
