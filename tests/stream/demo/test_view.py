"""The views of the demo: the shoppers shown, their lines, and the summary."""

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from stream.demo.tally import Tally
from stream.demo.view import Action, Progress, Screen, VisibleShoppers, live_view
from tests.stream.demo.figures import event, open_tally, score

TITLES = {"i1": "Norvik kettle", "i2": "Ostro mug", "i3": "Halden lamp"}


def text_of(view: Any, width: int = 110) -> str:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(view)
    return console.export_text()


def visible(*acted_s: tuple[str, float]) -> VisibleShoppers:
    shoppers = VisibleShoppers(count=2)
    for user, at_s in acted_s:
        shoppers.add_action(user, Action("click", "i1", False, at_s))
        shoppers.add_score(user, score(1, "i2"))
    return shoppers


def shown(shoppers: VisibleShoppers, now_s: float) -> list[str]:
    return [user for user, _, _ in shoppers.rows(now_s)]


def test_a_shopper_keeps_the_place_while_acting() -> None:
    shoppers = visible(("u1", 1.0), ("u2", 2.0))
    first = shown(shoppers, 3.0)
    shoppers.add_action("u3", Action("click", "i1", False, 4.0))
    shoppers.add_score("u3", score(2, "i1"))

    assert sorted(first) == ["u1", "u2"]
    assert shown(shoppers, 5.0) == first


def test_who_has_not_acted_for_twenty_seconds_makes_room() -> None:
    shoppers = visible(("u1", 1.0), ("u2", 2.0))
    assert sorted(shown(shoppers, 3.0)) == ["u1", "u2"]
    shoppers.add_action("u2", Action("buy", "i2", False, 20.0))
    shoppers.add_action("u3", Action("click", "i1", False, 20.0))
    shoppers.add_score("u3", score(2, "i1"))

    assert sorted(shown(shoppers, 1.0 + 20.0 + 0.5)) == ["u2", "u3"]


def test_the_view_names_what_was_done_and_what_is_wanted_by_title() -> None:
    shoppers, tally = VisibleShoppers(count=1), open_tally()
    shoppers.add_action("u1", Action("cart", "i1", True, 1.0))
    shoppers.add_score("u1", score(1, "i2", "i3"))

    text = text_of(live_view(shoppers, tally, TITLES, Progress(12.0, 20.0), now_s=2.0))

    assert "✓ cart  Norvik kettle" in text
    assert "30 %  Ostro mug" in text
    assert "kettles 62 %" in text
    assert "12 of 20 s" in text


def test_the_view_stands_before_anybody_has_come() -> None:
    text = text_of(
        live_view(VisibleShoppers(3), open_tally(), TITLES, Progress(0.0, None), now_s=0.0)
    )

    assert "events 0" in text


@pytest.mark.parametrize("width", [40, 50, 55, 56, 60, 78, 79, 80, 200])
def test_a_title_can_be_read_in_a_terminal_of_any_usual_width(width: int) -> None:
    shoppers = VisibleShoppers(count=1)
    shoppers.add_action("shopper-00001", Action("cart", "i1", True, 1.0))
    shoppers.add_score("shopper-00001", score(1, "i2", "i3"))

    view = live_view(shoppers, open_tally(), TITLES, Progress(12.0, 20.0), 2.0, width)
    lines = text_of(view, width).splitlines()

    text = "\n".join(lines)
    assert max(map(cell_len, lines)) <= width
    assert "shopper-00001" in text and "kettles 62 %" in text
    assert "30 %  Ostro mug" in text and "Halden lamp" in text
    assert ("Norvik kettle" in text) == (width >= 79)
    assert "event to score —" in text and "events 0" in text


def summary(tally: Tally) -> str:
    console = Console(file=io.StringIO(), record=True)
    Screen(TITLES, console).summary(tally)
    return console.export_text()


def test_the_summary_says_that_every_event_was_scored() -> None:
    tally = Tally()
    entry, _ = tally.event_sent(event(), now_s=1.0)
    tally.event_acknowledged("u1", entry, offset=1)
    tally.score_received("u1", score(1), now_s=2.0)
    tally.go_live()

    assert "✓ every event sent was scored" in summary(tally)


def test_the_summary_names_whose_events_were_not_scored() -> None:
    tally = open_tally()
    for user in ("u1", "u2"):
        tally.event_sent(event(user), now_s=1.0)

    assert "✗ 2 events of 2 users not scored: u1, u2" in summary(tally)
