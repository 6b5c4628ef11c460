"""The demo's screen: steps, live figures and summary."""

import io
import re
import time
from typing import Any

import pytest
from rich.console import Console

from stream.demo.tally import Tally
from stream.demo.view import Action, Progress, Screen, VisibleShoppers, live_view

TITLES = {f"i{n}": f"title {n}" for n in range(9)}


def screen(*, terminal: bool = False, height: int = 40, width: int = 100) -> tuple[Screen, Console]:
    console = Console(
        file=io.StringIO(), force_terminal=terminal, height=height, width=width, record=True
    )
    return Screen(TITLES, console), console


def event(item: str, user: str = "u1", action: str = "click") -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "action": action}


def score(offset: int, *items: str) -> dict[str, Any]:
    return {
        "as_of": {"offset": offset},
        "items": [{"item_id": item, "score": 0.3} for item in items],
        "categories": [{"category": "mugs", "score": 0.62}, {"category": "pots", "score": 0.1}],
        "intent": {"buy": 0.25, "horizon_s": 1800},
    }


def played() -> Tally:
    """A tally of two events of history, then two live clicks, the second of them predicted."""
    tally = Tally(["i0"])
    for offset in range(2):
        entry, _ = tally.event_sent(event("i5"), now_s=1.0)
        tally.event_acknowledged("u1", entry, offset)
    tally.score_received("u1", score(1, "i1"), now_s=2.0)
    tally.go_live()
    for offset, item in ((2, "i0"), (3, "i1")):
        entry, _ = tally.event_sent(event(item), now_s=10.0)
        tally.event_acknowledged("u1", entry, offset)
    tally.score_received("u1", score(3, "i1"), now_s=10.5)
    return tally


@pytest.mark.parametrize("terminal", [True, False])
def test_step_prints_its_result_and_duration(
    monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    shown, console = screen(terminal=terminal)
    times = iter([100.0, 102.5])
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(times, 102.5))
        with shown.step("broker", "starts") as report:
            report("in memory")

    assert console.export_text().strip().splitlines()[-1] == "✓ broker    in memory  2.5 s"


def test_failed_step_gets_no_check_mark() -> None:
    shown, console = screen()

    with pytest.raises(OSError, match="gone"), shown.step("broker", "starts"):
        raise OSError("gone")

    assert "✓" not in console.export_text()


@pytest.mark.parametrize(
    ("height", "count"),
    [
        (5, 1),  # there is always one
        (17, 2),  # nine lines around them, and four lines each
        (16, 1),
        (29, 5),
        (90, 20),  # a tall one is used
    ],
)
def test_shopper_count_fits_the_terminal(height: int, count: int) -> None:
    assert screen(height=height)[0].shopper_count == count


def test_figures_are_one_line_every_two_seconds_without_a_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown, console = screen()
    now_s = 1_000.0
    monkeypatch.setattr(time, "monotonic", lambda: now_s)
    with shown.live() as update:
        for passed_s in (0.0, 1.9, 2.0, 3.0):
            now_s = 1_000.0 + passed_s
            update(VisibleShoppers(1), played(), Progress(passed_s, None))

    lines = console.export_text().splitlines()
    assert [line.split()[:2] for line in lines] == [["0", "s"], ["2", "s"]]
    # The score predicted one of two clicks; popularity in the training data the other.
    assert "4 events" in lines[0] and "2 scores" in lines[0]
    assert lines[0].endswith("next click in the top 20: 50 %, popularity 50 %")
    assert "p50 500 ms p99 500 ms" in lines[0]


def test_terminal_view_is_drawn_on_each_update() -> None:
    shown, console = screen(terminal=True)

    with shown.live() as update:
        update(VisibleShoppers(1), played(), Progress(3.0, 20.0))

    assert "3 of 20 s" in console.export_text()


def test_summary_counts_history_and_live_events_separately() -> None:
    shown, console = screen()

    shown.summary(played())

    text = re.sub(" +", " ", console.export_text())
    assert "events 4 2 before, 2 live" in text
    assert "users 1" in text and "scores 2" in text
    assert "event to score p50 500 ms p99 500 ms" in text
    assert "next click in top 20 50 % popularity (of the training data) 50 %, of 2 clicks" in text
    assert "✓ every event sent was scored" in text


@pytest.mark.parametrize(("users", "named"), [(5, "u0, u1, u2, u3, u4"), (6, "u4, …")])
def test_summary_names_at_most_five_unscored_users(users: int, named: str) -> None:
    tally = Tally()
    for number in range(users):
        tally.event_sent(event("i1", f"u{number}"), now_s=0.0)
    shown, console = screen()

    shown.summary(tally)

    assert console.export_text().rstrip().endswith(named)


def test_summary_without_scores_shows_no_latency() -> None:
    shown, console = screen()

    shown.summary(Tally())

    assert re.search(r"event to score +—", console.export_text())


def test_live_view_shows_the_last_three_actions_and_the_top_three_items() -> None:
    shoppers = VisibleShoppers(1)
    for number in range(5):
        shoppers.add_action("u1", Action("cart", f"i{number}", number == 4, float(number)))
    shoppers.add_score("u1", score(1, "i5", "i6", "i7", "i8"))
    console = Console(file=io.StringIO(), width=118, record=True)

    console.print(live_view(shoppers, played(), TITLES, Progress(1.0, None), now_s=5.0))

    text = console.export_text()
    found = re.findall(r"title \d", text)
    assert sorted(found) == [f"title {n}" for n in (2, 3, 4, 5, 6, 7)]
    (line,) = (line for line in text.splitlines() if "title 4" in line)
    assert line.startswith("u1") and "✓ cart" in line  # the newest action is beside the name
    assert "mugs 62 %" in text and "pots" not in text
    assert "buys within 30 min ━━───── 25 %" in text
    assert "1 s   Ctrl-C ends" in text


@pytest.mark.parametrize("width", [80, 118, 200])
def test_the_view_takes_the_whole_width_and_no_title_loses_its_colour(width: int) -> None:
    shoppers = VisibleShoppers(count=1)
    shoppers.add_action("u1", Action("click", "i1", False, 0.0))
    shoppers.add_score("u1", score(1, "i2"))
    titles = dict.fromkeys(("i1", "i2"), "Tallow & Fig two-person trail tent, black")
    shown, console = screen(terminal=True, width=width)

    console.print(live_view(shoppers, played(), titles, Progress(1.0, None), now_s=5.0))

    lines = [line.rstrip() for line in console.export_text().splitlines()]
    assert max(map(len, lines)) == console.width == width  # to the right end of the head
    assert shown.shopper_count == (40 - 9) // 4
    (line,) = (line for line in lines if line.startswith("u1"))
    assert line.count(", black") == 2
    assert line.count(", black  ") >= 1
