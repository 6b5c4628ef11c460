"""A changelog that is deleted and made anew: the states on disk are kept, and restored to it."""

import json
import os
import subprocess

import pytest

from tests.kafka.conftest import OpenStage
from tests.kafka.message import Message
from tests.kafka.process import wait_until
from tests.kafka.stage import Stage
from tests.kafka.test_offsets import actions, clicks, last_line
from tests.kafka.worker import LATELY, environment

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]
# A stopped static member stays in the group for a while, and each command would wait for that.
AT_ONCE = {"static_membership": "false"}


def make_anew(stage: Stage) -> None:
    """Delete the changelog and create it again, as if it were the same."""
    stage.client.delete_topics(stage.changelog)
    assert wait_until(lambda: stage.changelog not in stage.client.topics(), 30.0)
    stage.client.create_topic(stage.changelog, 4, cleanup_policy="compact")


def lately(stage: Stage, *words: str, name: str = "a") -> "subprocess.CompletedProcess[str]":
    settings = {**stage.settings, "bootstrap": stage.client.bootstrap}
    settings["state_dir"] = str(stage.folder / f"state-{name}")
    return subprocess.run(
        [LATELY, *words],
        env={**os.environ, **environment(settings)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def run(stage: Stage, messages: list[Message], name: str = "a") -> None:
    """Let a worker take these messages, then stop it."""
    worker = stage.start(name)
    stage.feed(messages)
    stage.wait_committed()
    worker.stop()


def users_in_changelog(stage: Stage) -> set[bytes | None]:
    return {record.key for record in stage.client.read(stage.changelog) if record.value}


def test_the_states_on_disk_outlive_a_changelog_that_is_made_anew(open_stage: OpenStage) -> None:
    stage = open_stage(AT_ONCE)
    run(stage, clicks(range(5)))
    make_anew(stage)

    refused = stage.start()
    assert refused.wait(60.0) == 1, refused.tail()
    assert f"{stage.changelog}: states: found the states of partition" in last_line(refused)
    assert "lately state restore --group" in last_line(refused)
    for command in ("verify", "rebuild"):  # they would wipe, or advise to
        said = lately(stage, "state", command)
        assert (said.returncode, "lately state restore" in said.stderr) == (1, True), said
    assert users_in_changelog(stage) == set()

    restored = lately(stage, "state", "restore", "--json")
    assert restored.returncode == 0, restored.stderr
    assert json.loads(restored.stdout)["restored"]
    run(stage, clicks(range(5, 6)))
    assert actions(stage) == {6}  # the five from before, too
    assert lately(stage, "state", "verify").returncode == 0


def test_a_worker_that_runs_while_it_happens_ends_and_loses_nothing(open_stage: OpenStage) -> None:
    stage = open_stage(AT_ONCE)
    worker = stage.start()
    stage.feed(clicks(range(5)))
    stage.wait_committed()

    make_anew(stage)
    stage.feed(clicks(range(5, 6)))  # it writes some of these states into the new topic

    assert worker.wait(90.0) == 1, worker.tail()
    assert "lately state restore --group" in last_line(worker)
    restored = lately(stage, "state", "restore")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    run(stage, clicks(range(6, 7)))
    assert actions(stage) == {7}


def test_only_the_disk_that_had_a_partition_last_is_restored(open_stage: OpenStage) -> None:
    stage = open_stage(AT_ONCE)
    run(stage, clicks(range(3)), "a")
    run(stage, clicks(range(3, 5)), "b")
    make_anew(stage)

    older = lately(stage, "state", "restore", name="a")
    assert older.returncode == 1
    assert "another worker had this partition last" in older.stdout
    assert users_in_changelog(stage) == set()
    assert lately(stage, "state", "restore", name="b").returncode == 0
    # The older disk is of no use now, and is rebuilt from the changelog.
    run(stage, clicks(range(5, 6)), "a")
    assert actions(stage) == {6}
    assert lately(stage, "state", "verify", name="a").returncode == 0


def test_a_disk_may_be_gone_when_the_others_are_restored(open_stage: OpenStage) -> None:
    """Who has no disk of a partition is refused by the commits until it is restored."""
    stage = open_stage(AT_ONCE)
    run(stage, clicks(range(3)), "a")
    make_anew(stage)

    newcomer = stage.start("c")
    assert newcomer.wait(60.0) == 1, newcomer.tail()
    assert "made anew since" in last_line(newcomer)
    assert lately(stage, "state", "restore", name="a").returncode == 0
    run(stage, clicks(range(3, 4)), "c")
    assert actions(stage) == {4}
