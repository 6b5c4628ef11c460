"""The pipeline's counters: dead letters, scores, event outcomes and latency."""

from pathlib import Path

import pytest

from model.scorer import Vocabulary
from stream.metrics import Metrics
from tests.stream.fakes import NO_CLOCKS, NOW_MS, EchoScorer, FakeMessage, click, click_with, forget
from tests.stream.world import on_a_loop, world

pytestmark = pytest.mark.usefixtures("core")


def counted(metrics: Metrics, name: str) -> dict[str, int]:
    """The values of a metric that are not zero, by label value."""
    found = {}
    for line in metrics.render().decode().splitlines():
        series, _, value = line.rpartition(" ")
        if series.partition("{")[0] == name and float(value):
            found[series.partition('"')[2].rpartition('"')[0]] = int(float(value))
    return found


@on_a_loop
async def test_dead_letters_are_counted_by_reason_once_acknowledged(tmp_path: Path) -> None:
    async with world(tmp_path, scorer=EchoScorer(["bad"])) as w:
        await w.feed(
            click_with("action", "stare"),
            FakeMessage(b"no JSON", offset=1),
            FakeMessage(b"none either", offset=2),
            click("u2", 3, item_id="bad"),
            click("u3", 4),
        )
        before = counted(w.metrics, "lately_dead_letters_total")
        await w.acknowledge_all()

        assert before == {}
        assert counted(w.metrics, "lately_dead_letters_total") == {
            "unknown_action": 1,
            "not_json": 2,
            "unscorable": 1,
        }
        assert counted(w.metrics, "lately_scores_total") == {"full": 1}


@on_a_loop
async def test_a_score_counts_by_whether_its_newest_item_is_known(tmp_path: Path) -> None:
    scorer = EchoScorer()
    scorer.vocabulary = Vocabulary(None, {"i0", "i1"})
    async with world(tmp_path, scorer=scorer) as w:
        # The newest of u1 is unknown, that of u2 known; a forgotten user has no score.
        await w.feed(click("u1", 0), click("u1", 2), click("u2", 1), forget("u3", 3))
        before = counted(w.metrics, "lately_scored_items_total")
        await w.acknowledge_all()

        assert before == {}
        assert counted(w.metrics, "lately_scored_items_total") == {"yes": 1, "no": 1}


@on_a_loop
async def test_event_to_score_time_is_observed_once_per_score(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0), click("u1", 1), click("u2", 2))
        await w.acknowledge_all()

        assert counted(w.metrics, "lately_event_to_score_seconds_count") == {"": 2}


@on_a_loop
async def test_event_to_score_time_ends_when_the_score_is_acknowledged(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(click("u1", 0), forget("u2", 1), FakeMessage(b"no JSON", offset=2))
        assert counted(w.metrics, "lately_event_to_score_seconds_count") == {}

        await w.acknowledge("scores")
        assert w.topics == ["scores", "dead"]  # the receipt waits for the dead letter
        assert counted(w.metrics, "lately_event_to_score_seconds_count") == {"": 1}
        assert counted(w.metrics, "lately_dead_letters_total") == {}

        await w.acknowledge_all()
        assert counted(w.metrics, "lately_event_to_score_seconds_count") == {"": 1}
        assert counted(w.metrics, "lately_dead_letters_total") == {"not_json": 1}


@on_a_loop
async def test_a_user_without_a_score_has_no_latency(tmp_path: Path) -> None:
    async with world(tmp_path, scorer=EchoScorer(["bad"])) as w:
        await w.feed(click("u1", 0), click("u2", 1, item_id="bad"))
        await w.acknowledge_all()

        assert counted(w.metrics, "lately_event_to_score_seconds_count") == {"": 1}


@pytest.mark.parametrize("stamp", NO_CLOCKS)
@on_a_loop
async def test_an_event_without_a_record_timestamp_has_no_latency(
    tmp_path: Path, stamp: int
) -> None:
    async with world(tmp_path) as w:
        timeless = click("u2", 1)
        timeless.timestamp = stamp
        await w.feed(click("u1", 0), timeless)
        assert w.pipeline.oldest_unscored_ms() == NOW_MS
        await w.acknowledge_all()

        assert counted(w.metrics, "lately_scores_total") == {"full": 2}
        assert counted(w.metrics, "lately_event_to_score_seconds_count") == {"": 1}


@on_a_loop
async def test_events_are_counted_by_outcome(tmp_path: Path) -> None:
    async with world(tmp_path) as w:
        await w.feed(
            click("u1", 0, event_id="e"),
            click("u1", 1, event_id="e"),
            click("u1", 0),  # read a second time
            forget("u2", 2),
        )
        await w.acknowledge_all()

        assert counted(w.metrics, "lately_events_total") == {
            "applied": 1,
            "duplicate": 1,
            "replayed": 1,
            "forgotten": 1,
        }
