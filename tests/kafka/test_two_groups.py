"""Two groups that write scores to one topic: the newcomer loses, and no score of its stands."""

from collections.abc import Callable

import pytest

from tests.kafka.conftest import MakeLoad, OpenStage
from tests.kafka.process import wait_until
from tests.kafka.stage import Stage
from tests.kafka.worker import Worker
from tests.oracle.answers import Answers
from tests.oracle.record import Record
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

OTHER = "other"


def newcomer(stage: Stage, **settings: str) -> Worker:
    """A worker of another group, which reads the same events and writes to the same scores."""
    other = f"{stage.group}-{OTHER}"
    dead, receipts = f"{other}.dead", f"{other}.receipts"
    if dead not in stage.client.topics():
        stage.client.create_topic(dead, 1, max_message_bytes=str(2 << 20))
        stage.client.create_topic(receipts, 1)
    return stage.start("b", group=other, dead_topic=dead, receipts_topic=receipts, **settings)


def remove_what_it_left(stage: Stage) -> None:
    other = f"{stage.group}-{OTHER}"
    stage.client.delete_topics(f"{other}-state-changelog", f"{other}.dead", f"{other}.receipts")


def last_line(worker: Worker) -> str:
    return worker.errors.read_text(encoding="utf-8").splitlines()[-1]


def group_of(score: Record) -> str:
    return (dict(score.headers).get("lately.group") or b"").decode()


def groups_of_last_scores(stage: Stage) -> set[str]:
    """The groups whose scores stand; a null is nobody's score, whoever wrote it."""
    last = {(score.partition, score.key): score for score in stage.client.read(stage.scores)}
    return {group_of(score) for score in last.values() if score.value is not None}


def test_a_group_that_finds_the_topic_taken_ends_before_it_writes(
    open_stage: OpenStage, load: MakeLoad
) -> None:
    stage = open_stage()
    worker = stage.start()
    stage.feed(load(0, n_events=3_000))
    stage.wait_committed()
    written = stage.progress()

    late = newcomer(stage)

    assert late.wait(60.0) == 1, late.tail()
    assert f"{stage.scores}: owner: found group {stage.group}, which wrote" in last_line(late)
    assert f"--delete --group {stage.group}`" in last_line(late)
    # So is one that reads other events, and was not told where to write its scores.
    events = f"{stage.events}-{OTHER}"
    stage.client.create_topic(events, 4)
    stray = newcomer(stage, events_topic=events)
    assert stray.wait(60.0) == 1, stray.tail()
    assert f"{stage.scores}: owner: found group {stage.group}, which wrote" in last_line(stray)
    stage.client.delete_topics(events)
    assert (worker.exit_code, stage.progress()) == (None, written)
    worker.stop()
    # When its group is deleted, as the line says, the topic is free.
    stage.client.delete_group(stage.group)
    newcomer(stage).wait_ready().stop()
    remove_what_it_left(stage)


@pytest.mark.parametrize("seed", [0])
def test_of_two_groups_that_begin_on_an_empty_topic_the_later_one_ends(
    seed: int, open_stage: OpenStage, load: MakeLoad, answers: Answers
) -> None:
    stage = open_stage()
    messages = load(seed, n_events=12_000)
    worker = stage.start().wait_ready()
    assert wait_until(claims(stage), 30.0), worker.tail()  # nothing is written yet, but claimed
    late = newcomer(stage).wait_ready()

    flowing = stage.flow(messages, per_s=1_000)

    assert late.wait(120.0) == 1, late.tail()
    assert f"{stage.scores}: owner: found group {stage.group}" in last_line(late)
    flowing.result(120.0)
    stage.wait_quiet()
    assert wait_until(lambda: groups_of_last_scores(stage) == {stage.group}, 60.0), worker.tail()
    assert worker.exit_code is None, worker.tail()
    worker.wait_ready()
    worker.stop()
    evidence = stage.evidence()
    ours_alone = [r for r in evidence.scores if group_of(r) == stage.group]
    rejoined = worker.errors.read_text(encoding="utf-8").count("rejoining the group")
    evidence = evidence._replace(scores=ours_alone, interruptions=rejoined)
    differences = examine(evidence, answers)
    assert not differences, report(differences)
    remove_what_it_left(stage)


def claims(stage: Stage) -> Callable[[], bool]:
    return lambda: len(stage.client.committed(stage.group, stage.events)) == 4
