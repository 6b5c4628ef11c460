"""A model that is too slow: what is left out is said, and only where the setting asks for it."""

import json
from collections import Counter

import pytest

from tests.kafka.conftest import MakeLoad, OpenStage
from tests.oracle.answers import Answers
from tests.oracle.rules import DEFAULT_RULES
from tests.oracle.verdict import examine, report

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
