"""How many items, categories and users the views of `lately watch` show."""

import io
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console, RenderableType

from stream.commands.watch_view import LatestUsers, OneUser, Scored, plain_line, titled


def score(items: int = 10, categories: int = 6, n_events: int = 17) -> dict[str, Any]:
    """A score of this many items and categories, by falling probability."""
    return {
        "items": [{"item_id": f"i{n}", "score": 0.5 - n / 100} for n in range(items)],
        "categories": [{"category": f"c{n}", "score": 0.9 - n / 100} for n in range(categories)],
        "intent": {"cart": 0.12, "buy": 0.03, "horizon_s": 5_400},
        "model": {"name": "lately", "version": "abc"},
        "n_events": n_events,
        "quality": "full",
    }


def drawn(view: RenderableType) -> str:
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(view)
    return console.export_text()


def named(text: str, letter: str) -> list[str]:
    return [word.strip(",") for word in text.split() if word[0] == letter and word[1:2].isdigit()]


def test_plain_line_has_the_top_three_items_and_two_categories() -> None:
    line = plain_line(Scored("u1", 0, score()))

    assert "i0 50 %, i1 49 %, i2 48 % | c0 90 %, c1 89 % | cart 12 %, buy 3 % | 17 actions" in line


def test_table_row_has_the_top_three_items_and_one_category() -> None:
    table = LatestUsers("here", rows=2)
    table.add(Scored("u1", 1_000, score()))

    text = drawn(table.render(now_ms=2_000))

    assert (named(text, "i"), named(text, "c")) == (["i0", "i1", "i2"], ["c0"])
    assert "1 score " in text and "here" in text
    assert text.splitlines()[2].split() == ["user", "wants", "in", "will", "actions", "ago"]


def test_card_has_the_top_eight_items_and_four_categories() -> None:
    card = OneUser("u1", "here")
    card.add(Scored("u1", 1_000, score()))

    text = drawn(card.render(now_ms=3_000))

    assert named(text, "i") == [f"i{n}" for n in range(8)]
    assert named(text, "c") == [f"c{n}" for n in range(4)]
    # Each section has its title once, beside its first line; 5,400 s are 90 min.
    assert [text.count(title) for title in ("wants", "within 90 min")] == [1, 1]
    assert "17 actions, full, model abc, 2 s" in text
    assert "50 %" in text and "━" in text


@pytest.mark.parametrize("users", [3, 4])
def test_table_replaces_the_longest_silent_user_in_place(users: int) -> None:
    table = LatestUsers("here", rows=3)
    for number in range(users):
        table.add(Scored(f"u{number}", number, score()))

    rows = drawn(table.render(now_ms=0)).splitlines()[3:]

    # The user who was silent the longest is replaced in the same row.
    first = "u0" if users == 3 else "u3"
    assert [row.split()[0] for row in rows] == [first, "u1", "u2"]


def test_replaced_user_returns_in_the_row_of_the_longest_silent_user() -> None:
    table = LatestUsers("here", rows=2)
    for at_ms, user in enumerate(["u1", "u2", "u3", "u1"]):
        table.add(Scored(user, at_ms, score(n_events=at_ms)))

    rows = drawn(table.render(now_ms=0)).splitlines()[3:]

    # u3 replaced u1 in the first row, then u1 replaced u2 in the second.
    assert [row.split()[0] for row in rows] == ["u3", "u1"]


def test_forgotten_user_is_marked_in_the_table() -> None:
    table = LatestUsers("here", rows=2)
    table.add(Scored("u1", 0, None))

    assert "forgotten" in drawn(table.render(now_ms=61_000))
    assert "1 min" in drawn(table.render(now_ms=61_000))


def test_titles_follow_the_ids_of_items_that_have_one() -> None:
    scored = titled(Scored("u1", 0, score()), {"i1": "Blue lamp"})

    assert "i0 50 %, i1 Blue lamp 49 %, i2 48 %" in plain_line(scored)
    assert titled(Scored("u1", 0, None), {"i1": "Blue lamp"}).score is None


# Whoever may write events chooses ids, and an item file the titles.
ODD_NAMES = [
    "[red]x[/red]",
    "[/x]",
    "[link=http://elsewhere]x[/link]",
    ":smile:",
    "\x1b[2J\x1b[31mx",
    "\x1b]0;x\x07",
    "\x9b31mx",
    "x\ny",
    "x\ry",
    "\u202ex",
    "\ufeffx",
    "服务器键盘" * 8,
    "e\u0301" * 40,
    "مفتاح" * 9,
    "x" * 256,
]


def of_odd_names(name: str) -> dict[str, Any]:
    odd = score()
    odd["items"][0]["item_id"] = odd["categories"][0]["category"] = name
    odd["model"]["version"] = name
    odd["intent"] = {name: 0.5, "horizon_s": 5_400}
    return odd


@pytest.mark.parametrize("name", ODD_NAMES)
@pytest.mark.parametrize("titles", [{}, {"i1": "Blue lamp"}, "same"])
def test_whatever_a_name_holds_no_view_breaks_or_acts_on_the_terminal(
    name: str, titles: dict[str, str] | str
) -> None:
    known = {name: name} if isinstance(titles, str) else titles
    scored = titled(Scored(name, 0, of_odd_names(name)), known)
    table, card = LatestUsers("here", rows=2), OneUser(name, "here")
    table.add(scored)
    table.add(Scored(f"{name}2", 1, None))
    card.add(scored)

    pages = [drawn(view.render(now_ms=2_000)) for view in (table, card)]
    line = plain_line(scored)

    for page in pages:
        assert all(part.isprintable() for part in page.split("\n"))
        assert max(map(cell_len, page.splitlines())) <= 120
    assert line.isprintable()
    if name.isascii() and name.isprintable():  # nothing is taken for markup
        assert name in line and all(name[:15] in page for page in pages)
