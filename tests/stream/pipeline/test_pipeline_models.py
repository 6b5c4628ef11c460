"""Which model answers, and how much of it is told: batch by batch, and said in every score."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from model.scorer import Score
from model.sequence import Sequence as Actions
from stream.pipeline.batcher import BatchPolicy
from tests.stream.fakes import EchoScorer, click, settle
from tests.stream.world import AT_ONCE, LIMITS, World, on_a_loop, world

pytestmark = pytest.mark.usefixtures("core")

PATIENT = LIMITS._replace(shed_after_s=2.0)


def scores(w: World) -> list[dict[str, Any]]:
    sent = [sent for sent in w.publisher.sent if sent.topic == "scores"]
    return [json.loads(value) for s in sent for _, value, _ in s.records if value is not None]


def another_model() -> EchoScorer:
    scorer = EchoScorer()
    scorer.info = scorer.info._replace(name="other", version="beef00000000", horizon_s=60)
    return scorer


# --- a new model ---------------------------------------------------------------------------------


@on_a_loop
async def test_a_batch_on_the_device_is_of_the_old_model_and_the_next_of_the_new(
    tmp_path: Path,
) -> None:
    async with world(tmp_path) as w:
        w.device.hold()
        await w.feed(click("u1", 0), click("u2", 1))
        w.pipeline.serve(another_model(), AT_ONCE)
        await w.feed(click("u3", 2))
        w.device.release()
        await settle()

        said = [(s["user_id"], s["model"]["name"], s["intent"]["horizon_s"]) for s in scores(w)]
        assert said == [("u1", "echo", 1800), ("u2", "echo", 1800), ("u3", "other", 60)]
        await w.acknowledge_all()
        assert w.position == 3


@on_a_loop
async def test_scores_of_two_models_for_one_event_have_two_ids(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0))  # its score is out, its state is not
        w.pipeline.revoke()
        w.pipeline.serve(another_model(), AT_ONCE)
        w.assign()
        await w.feed(click("u1", 0))

        first, second = scores(w)
        assert first["as_of"] == second["as_of"]
        assert first["score_id"] != second["score_id"]


@on_a_loop
async def test_the_new_models_batches_close_by_its_own_policy(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        w.pipeline.serve(another_model(), BatchPolicy(2, 2, deadline_s=3600.0))
        await w.feed(click("u1", 0))
        assert scores(w) == []

        await w.feed(click("u2", 1))
        assert len(scores(w)) == 2


# --- overload ------------------------------------------------------------------------------------


async def wait_on_the_device(w: World, wait_s: float) -> dict[str, Any]:
    """A user clicks while the device is busy for so long; the score they get."""
    w.device.hold()
    await w.feed(click("first", 0))
    await w.feed(click("u1", 1))
    w.now_s += wait_s
    w.device.release()
    await settle()
    return scores(w)[-1]


@on_a_loop
async def test_who_has_not_waited_too_long_gets_everything(tmp_path: Path) -> None:
    async with world(tmp_path, limits=PATIENT) as w:
        assert (await wait_on_the_device(w, 2.0))["quality"] == "full"


@on_a_loop
async def test_who_has_waited_too_long_gets_a_degraded_score_that_is_counted_and_safe(
    tmp_path: Path,
) -> None:
    async with world(tmp_path, limits=PATIENT) as w:
        score = await wait_on_the_device(w, 2.1)

        assert (score["quality"], score["items"][0]["item_id"]) == ("degraded", "i1")
        await w.acknowledge_all()
        assert w.position == 2
        assert w.metrics.scores["degraded"]._value.get() == 1


@on_a_loop
async def test_who_has_waited_twice_that_gets_what_somebody_new_would(tmp_path: Path) -> None:
    async with world(tmp_path, limits=PATIENT, scorer=Hospitable()) as w:
        score = await wait_on_the_device(w, 4.1)

        assert (score["quality"], score["items"]) == ("degraded", [])


class Hospitable(EchoScorer):
    """Knows nothing to say to somebody new, but says it."""

    def score(self, sequences: Sequence[Actions]) -> list[Score]:
        """As EchoScorer, where there is an item."""
        known = iter(super().score([s for s in sequences if s.items]))
        cold = Score([], [], {"buy": 0.1}, "cold")
        return [next(known) if s.items else cold for s in sequences]


@on_a_loop
async def test_the_next_score_is_a_full_one_once_nobody_waits(tmp_path: Path) -> None:
    async with world(tmp_path, limits=PATIENT) as w:
        degraded = await wait_on_the_device(w, 2.1)
        await w.feed(click("u1", 2))

        full = scores(w)[-1]
        assert (full["quality"], full["n_events"]) == ("full", 2)
        assert full["score_id"] != degraded["score_id"]


@on_a_loop
async def test_without_the_setting_no_wait_degrades_a_score(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        assert (await wait_on_the_device(w, 3600.0))["quality"] == "full"
