"""The categories of events: a new item has its own, also after a crash, a rebuild, an upgrade."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from model.artifact.artifact import COPYING, Artifact
from model.artifact.copying import CopyCurve, sizes
from model.serving import load_scorer
from tests.kafka.artifact import items_of, rewrite
from tests.kafka.conftest import OpenStage
from tests.kafka.message import Message
from tests.kafka.stage import PARTITIONS, Stage
from tests.kafka.test_failures import NOW_MS
from tests.oracle.answers import Answers
from tests.oracle.hashing import partition_of
from tests.oracle.value import decode
from tests.oracle.verdict import examine, report

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(240)]

FRESH, CATEGORY = "an item of today", "paragliders"
USERS = [f"shopper {number}" for number in range(8)]


@pytest.fixture(scope="module")
def with_curve(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model with a copy curve: an item that it does not know has the weight 2."""
    actions = len(Artifact.open(artifact).config.actions)
    tables = tuple((1.0,) * size for size in sizes(actions).values())
    curve = json.dumps(CopyCurve(tables, new=2.0).to_json())

    def change(draft: Path) -> None:
        (draft / COPYING).write_text(curve, encoding="utf-8")

    return rewrite(artifact, tmp_path_factory.mktemp("model") / "with-curve", change)


@pytest.fixture
def stage(open_stage: OpenStage, with_curve: Path) -> Stage:
    """A stage whose workers serve that model."""
    stage = open_stage()
    stage.artifact = with_curve
    return stage


def click(user: str, item: str, ms: int, category: str | None = None) -> Message:
    """A click so many milliseconds after the first."""
    body = {"user_id": user, "item_id": item, "action": "click", "ts": NOW_MS + ms}
    body |= {} if category is None else {"category": category}
    key = user.encode()
    return Message(partition_of(key, PARTITIONS), NOW_MS + ms, key, json.dumps(body).encode())


def clicks(ms: int, item: str, category: str | None = None) -> list[Message]:
    """One click of every user."""
    return [click(user, item, ms, category) for user in USERS]


def last_scores(stage: Stage) -> dict[str, Any]:
    found = {record.key: record.value for record in stage.client.read(stage.scores)}
    return {(key or b"").decode(): json.loads(value or b"null") for key, value in found.items()}


def last_versions(stage: Stage) -> set[int]:
    found = {record.key: record.value for record in stage.client.read(stage.changelog)}
    return {value[0] for value in found.values() if value is not None}


def assert_fresh_leads(stage: Stage) -> None:
    """Every user's last score lists the new item and its category first."""
    scores = last_scores(stage)
    assert set(scores) == set(USERS)
    for score in scores.values():
        # 2 / (1 + 2): nothing else is in the window.
        assert score["items"][0] == {"item_id": FRESH, "score": 0.666667}
        assert score["categories"][0] == {"category": CATEGORY, "score": 0.666667}


def test_a_new_item_seen_three_times_is_listed_with_its_category_also_after_kill_and_rebuild(
    stage: Stage, with_curve: Path
) -> None:
    worker = stage.start().wait_ready()
    stage.feed([message for ms in range(3) for message in clicks(ms, FRESH, CATEGORY)])
    stage.wait_committed()
    assert_fresh_leads(stage)

    worker.kill()
    worker = stage.start().wait_ready()  # with the state on its disk
    stage.feed(clicks(3, FRESH))  # the category is that of the events before
    stage.wait_committed()
    assert_fresh_leads(stage)

    worker.kill()
    shutil.rmtree(worker.state_dir)
    worker = stage.start().wait_ready()  # rebuilt from the changelog
    stage.feed(clicks(4, FRESH))
    stage.wait_committed()
    worker.stop()

    assert_fresh_leads(stage)
    assert last_versions(stage) == {2}
    differences = examine(stage.evidence(), Answers(load_scorer(with_curve)))
    assert not differences, report(differences)


@pytest.mark.parametrize("rebuild", [False, True], ids=["the disk", "the changelog"])
def test_state_from_before_the_upgrade_is_read_and_becomes_version_2_with_the_next_category(
    stage: Stage, with_curve: Path, rebuild: bool
) -> None:
    known = items_of(with_curve)[0]
    worker = stage.start().wait_ready()
    stage.feed(clicks(0, known))
    stage.wait_committed()
    worker.stop()
    # What the version before wrote, byte for byte (tests/stream/golden/state-v1.json).
    assert last_versions(stage) == {1}

    if rebuild:
        shutil.rmtree(worker.state_dir)
    worker = stage.start().wait_ready()
    half = USERS[::2]
    stage.feed([click(user, FRESH, 1, CATEGORY) for user in half])
    stage.wait_committed()
    assert last_versions(stage) == {1, 2}
    worker.kill()

    if rebuild:
        shutil.rmtree(worker.state_dir)  # its changelog has both versions of some users now
    worker = stage.start().wait_ready()
    stage.feed(clicks(2, FRESH, CATEGORY))
    stage.wait_committed()
    worker.stop()

    scores = last_scores(stage)
    assert all(score["categories"][0]["category"] == CATEGORY for score in scores.values())
    assert {user for user, score in scores.items() if score["n_events"] == 3} == set(half)
    states = [decode(r.value) for r in stage.client.read(stage.changelog) if r.value is not None]
    assert {action.category for state in states for action in state.actions} == {"", CATEGORY}
    differences = examine(stage.evidence(), Answers(load_scorer(with_curve)))
    assert not differences, report(differences)
