"""A model that is too slow: what is left out is said, and only where the setting asks for it."""

import json
from collections import Counter

import pytest

from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.message import Message
from tests.kafka.process import wait_until
from tests.kafka.worker import Worker
from tests.oracle.answers import Answers
from tests.oracle.rules import DEFAULT_RULES
from tests.oracle.verdict import examine, report

NOW_MS = 1_790_000_000_000
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]


@pytest.mark.parametrize("shed_after_ms", [None, "400"])
def test_model_that_cannot_keep_up(
    shed_after_ms: str | None, open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    # About 200 users a second are scored, and more come for seconds: whoever comes while a batch is
    # on the device waits for longer than the setting says.
    settings = {} if shed_after_ms is None else {"shed_after_ms": shed_after_ms}
    stage = open_stage({**settings, "session_timeout_s": "6"})
    worker = stage.start(mutant="slow").wait_ready()
    stage.flow(load(0, n_events=6_000), per_s=1_500).result()
    stage.wait_quiet()
    metrics = worker.text("/metrics")
    worker.stop()

    evidence = stage.evidence()
    rules = DEFAULT_RULES._replace(sheds=shed_after_ms is not None)
    differences = examine(evidence, answers, rules)
    assert not differences, report(differences)
    said = Counter(json.loads(s.value)["quality"] for s in evidence.scores if s.value)
    assert (said["degraded"] > 0) == rules.sheds, said
    assert f'lately_scores_total{{quality="degraded"}} {said["degraded"]:.1f}' in metrics
    # One assignment, one recovery: heartbeats went on, and nobody was thrown out of the group.
    assert "lately_recovery_seconds_count 1.0" in metrics


def test_the_lag_grows_while_partitions_are_paused(open_stage: OpenStage) -> None:
    """Nothing is fetched then, and so no fetch tells where the log ends."""
    stage = open_stage({"max_pending_users": "50"})
    worker = stage.start(mutant="slow").wait_ready()
    stage.feed(one_click_each(range(4_000)))  # at 200 users a second
    assert wait_until(lambda: "lately_paused_partitions 4.0" in worker.text("/metrics"), 30.0)

    stage.feed(one_click_each(range(4_000, 8_000)))

    assert wait_until(lambda: lag(worker) > 5_000, 10.0), lag(worker)


def one_click_each(numbers: range) -> list[Message]:
    """An event of each of these users."""
    bodies = (
        {"user_id": f"u{n}", "item_id": "i1", "action": "click", "ts": NOW_MS} for n in numbers
    )
    return [
        Message(n % 4, NOW_MS, f"u{n}".encode(), json.dumps(body).encode())
        for n, body in zip(numbers, bodies, strict=True)
    ]


def lag(worker: Worker) -> float:
    """How many records the worker says that it is behind, over all partitions."""
    lines = worker.text("/metrics").splitlines()
    name = "lately_consumer_lag_records{"
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(name))
