"""The oracle fails when the worker is broken on purpose; without this its silence says nothing."""

import shutil
from collections.abc import Callable, Sequence

import pytest

from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.message import Message
from tests.kafka.stage import Stage
from tests.kafka.worker import Worker
from tests.oracle.answers import Answers
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(180)]

CRASH_S = 60.0


def crash_and_restart(stage: Stage, messages: Sequence[Message], mutant: str) -> Worker:
    """Let the mutant crash amid the events, start it again, and let it commit the rest."""
    crashing = stage.start(mutant=mutant).wait_ready()
    rest = len(messages) // 13
    stage.flow(messages[:-rest], per_s=1500).result()
    assert crashing.wait(CRASH_S) == -9, f"{mutant} did no harm:\n{crashing.tail()}"
    again = stage.start(mutant=mutant)
    stage.feed(messages[-rest:])
    stage.wait_committed()
    return again


def once_each(messages: Sequence[Message]) -> list[Message]:
    """The first message of every key: what a crash takes from a user, no later event makes good."""
    return list({message.key: message for message in reversed(messages)}.values())


@pytest.mark.parametrize(
    ("mutant", "checks"),
    [
        ("forgetful", {"O1 state", "O2 scores"}),
        ("hasty", {"O1 state", "O2 scores"}),
        ("disorderly", {"O1 state"}),
        ("premature", {"O2 scores"}),
    ],
)
def test_oracle_finds(
    mutant: str, checks: set[str], open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage, messages = open_stage(), load(0, n_events=6_500)
    if mutant == "premature":  # it crashes in its first batch, of few users who may all come again
        messages = once_each(messages)
    crash_and_restart(stage, messages, mutant).stop()
    differences = examine(stage.evidence(), answers)

    print(report(differences))
    assert {difference.check for difference in differences} >= checks


def feed_and_commit(stage: Stage, load: MakeLoad, mutant: str) -> None:
    """Undisturbed: what is wrong with the mutant shows without a crash."""
    worker = stage.start(mutant=mutant).wait_ready()
    stage.flow(load(0, n_events=3_000), per_s=1500).result()
    stage.wait_committed()
    worker.stop()


def lose_the_state_directory(stage: Stage, load: MakeLoad, mutant: str) -> None:
    messages = load(0, n_events=3_000)
    worker = stage.start(mutant=mutant).wait_ready()
    stage.feed(messages[:2_000])
    stage.wait_committed()
    worker.kill()
    shutil.rmtree(worker.state_dir)
    again = stage.start(mutant=mutant)
    stage.feed(messages[2_000:])
    stage.wait_committed()
    again.stop()


def refuse_large_scores(stage: Stage, load: MakeLoad, mutant: str) -> None:
    """The scores topic takes no batch of more than a few scores, but did when the worker began."""
    worker = stage.start(mutant=mutant).wait_ready()
    stage.client.alter_topic(stage.scores, cleanup_policy="compact", max_message_bytes="4000")
    stage.flow(load(0, n_events=3_000), per_s=1500).result()
    stage.wait_committed()
    worker.stop()


def hand_over(stage: Stage, load: MakeLoad, mutant: str) -> None:
    """A batch of the mutant is on its way for eight seconds, in which another takes over."""
    messages = load(0, n_events=4_000)
    slow = stage.start("a", mutant, session_timeout_s="6").wait_ready()
    stage.feed(messages[:2_000])
    stage.wait_committed()
    flag = slow.state_dir.with_name(slow.state_dir.name + ".slow")
    flag.touch()
    stage.feed(messages[2_000:3_000])
    other = stage.start("b", session_timeout_s="6").wait_ready()
    stage.feed(messages[3_000:])
    flag.unlink()
    stage.wait_committed()
    other.stop()
    slow.kill()


@pytest.mark.parametrize(
    ("mutant", "scenario", "checks"),
    [
        ("gullible", feed_and_commit, {"O1 state"}),
        ("lossy", feed_and_commit, {"O1 state", "O2 scores"}),
        ("misdirected", feed_and_commit, {"O2 scores"}),
        ("undead", feed_and_commit, {"O1 state", "O2 scores"}),
        ("stale", lose_the_state_directory, {"O1 state", "O2 scores"}),
        ("deaf", refuse_large_scores, {"O2 scores"}),
        ("unfenced", hand_over, {"O1 state"}),
    ],
)
def test_oracle_finds_what_needs_no_crash(
    mutant: str,
    scenario: Callable[[Stage, MakeLoad, str], None],
    checks: set[str],
    open_stage: OpenStage,
    load: MakeLoad,
    answers: Answers,
) -> None:
    stage = open_stage()
    scenario(stage, load, mutant)
    differences = examine(stage.evidence(), answers)

    print(report(differences))
    assert {difference.check for difference in differences} >= checks


def test_oracle_finds_nothing_when_there_is_only_the_crash(
    open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage = open_stage()
    worker = crash_and_restart(stage, load(0, n_events=6_500), "faithful")
    stage.wait_quiet()
    worker.stop()
    differences = examine(stage.evidence(), answers)

    assert not differences, report(differences)
