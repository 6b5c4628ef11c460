"""The oracle fails when the worker is broken on purpose; without this its silence says nothing."""

import pytest

from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.stage import Stage
from tests.kafka.worker import Worker
from tests.oracle.answers import Answers
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

CRASH_S = 60.0


def crash_and_restart(stage: Stage, load: MakeLoad, mutant: str) -> Worker:
    """Let the mutant crash amid the events, start it again, and let it commit the rest."""
    messages = load(0, n_events=6_500)
    crashing = stage.start(mutant=mutant).wait_ready()
    stage.flow(messages[:6_000], per_s=1500).result()
    assert crashing.wait(CRASH_S) == -9, f"{mutant} did no harm:\n{crashing.tail()}"
    again = stage.start(mutant=mutant)
    stage.feed(messages[6_000:])
    stage.wait_committed()
    return again


@pytest.mark.parametrize(
    ("mutant", "checks"),
    [
        ("forgetful", {"O1 state", "O2 scores"}),
        ("hasty", {"O1 state", "O2 scores"}),
        ("disorderly", {"O1 state"}),
    ],
)
def test_oracle_finds(
    mutant: str, checks: set[str], open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage = open_stage()
    crash_and_restart(stage, load, mutant).stop()
    differences = examine(stage.evidence(), answers)

    print(report(differences))
    assert {difference.check for difference in differences} >= checks


def test_oracle_finds_nothing_when_there_is_only_the_crash(
    open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage = open_stage()
    worker = crash_and_restart(stage, load, "faithful")
    stage.wait_quiet()
    worker.stop()
    differences = examine(stage.evidence(), answers)

    assert not differences, report(differences)
