"""Events that a producer writes in a transaction count when it is committed, and only then."""

from collections import Counter
from pathlib import Path

import pytest

from tests.kafka.artifact import items_of
from tests.kafka.conftest import OpenStage
from tests.kafka.process import wait_until
from tests.kafka.stage import QUIET_S, Stage
from tests.kafka.test_failures import NOW_MS, click
from tests.kafka.test_operations import lately
from tests.kafka.worker import Worker
from tests.oracle.answers import Answers
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


def others(count: int) -> list[str]:
    """Users of one partition, so that what is before and behind a transaction is theirs."""
    partition = click("u1", "").partition
    return [u for u in map(str, range(99)) if click(u, "").partition == partition][:count]


def lag(worker: Worker) -> float:
    """Of all its partitions together, as its metrics have it; -1 before it has said anything."""
    lines = worker.text("/metrics").splitlines()
    found = [line for line in lines if line.startswith("lately_consumer_lag_records{")]
    return sum(float(line.split()[-1]) for line in found) if found else -1


def wait_until_scored(stage: Stage, worker: Worker, events: int) -> None:
    def scored() -> bool:
        return +worker.outcomes() == Counter(applied=events) and lag(worker) == 0

    assert wait_until(scored, QUIET_S), f"{worker.outcomes()}, lag {lag(worker)}\n{worker.tail()}"


def assert_as_promised(stage: Stage, answers: Answers) -> None:
    """Nobody commits past the markers of transactions that a log ends with."""
    evidence = stage.evidence()
    ends = {event.partition: event.offset + 1 for event in evidence.events}
    differences = examine(evidence._replace(ends=ends), answers)
    assert not differences, report(differences)


def test_what_is_taken_back_is_not_scored_and_nothing_lags_behind_it(
    open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    items = items_of(artifact)
    first, second, taken_back = others(3)
    stage = open_stage()
    worker = stage.start().wait_ready()
    stage.client.transact(stage.events, [click(first, items[0])])(True)
    gone = [click(taken_back, items[1]), click(first, items[2], NOW_MS + 1)]
    stage.client.transact(stage.events, gone)(False)
    stage.client.transact(stage.events, [click(second, items[3])])(True)
    stage.client.transact(stage.events, gone)(False)

    wait_until_scored(stage, worker, 2)
    found = lately(stage, "doctor", "--json", artifact=str(stage.artifact))
    (committed,) = [check for check in found.json["checks"] if check["what"] == "lag"]
    assert (committed["status"], committed["found"]) == ("PASS", "every event is committed")
    worker.kill()
    worker = stage.start().wait_ready()
    assert wait_until(lambda: lag(worker) == 0, QUIET_S), worker.tail()
    worker.stop()
    assert {score.key for score in stage.evidence().scores} == {first.encode(), second.encode()}
    assert_as_promised(stage, answers)


def test_what_is_in_an_open_transaction_waits_until_it_is_committed(
    open_stage: OpenStage, artifact: Path, answers: Answers
) -> None:
    items = items_of(artifact)
    first, second = others(2)
    stage = open_stage()
    worker = stage.start().wait_ready()
    stage.feed([click(first, items[0])])
    wait_until_scored(stage, worker, 1)
    end = stage.client.transact(stage.events, [click(second, items[1])])

    assert wait_until(lambda: lag(worker) == 1, QUIET_S), worker.tail()
    assert +worker.outcomes() == Counter(applied=1)
    end(True)
    wait_until_scored(stage, worker, 2)
    worker.stop()
    assert_as_promised(stage, answers)
