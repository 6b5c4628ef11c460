"""The formats of the live views: percentages, ages, bars and counts."""

import pytest

from stream.commands.terminal import age, bar, counted, cut, percent


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "0 %"),  # exactly zero
        (0.0049, "<1 %"),  # small, but not zero
        (0.005, "1 %"),  # halves up
        (0.0051, "1 %"),
        (0.314, "31 %"),
        (0.125, "13 %"),
        (0.994, "99 %"),
        (0.995, ">99 %"),  # large, but not certain
        (1.0, "100 %"),
    ],
)
def test_percent_is_a_whole_number_and_never_hides_a_small_probability(
    probability: float, text: str
) -> None:
    assert percent(probability) == text


@pytest.mark.parametrize(
    ("passed_ms", "text"),
    [
        (-5, "now"),
        (999, "now"),
        (1_000, "1 s"),
        (59_999, "59 s"),
        (60_000, "1 min"),
        (3_599_999, "59 min"),
        (3_600_000, "1 h"),
        (90_000_000, "25 h"),
    ],
)
def test_age_uses_the_largest_unit_that_fits(passed_ms: float, text: str) -> None:
    assert age(passed_ms) == text


@pytest.mark.parametrize(
    ("share", "filled"),
    [
        (0.0, 0),
        (0.001, 1),  # a small share still shows
        (0.5, 4),
        (1.0, 8),
        (1.7, 8),  # never longer than the bar
    ],
)
def test_bar_is_filled_in_proportion_to_the_share(share: float, filled: int) -> None:
    assert bar(share, 8).plain == "━" * filled + "─" * (8 - filled)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 scores"), (1, "1 score"), (2, "2 scores"), (1_000, "1,000 scores")]
)
def test_counted_uses_the_plural_for_all_numbers_but_one(number: int, text: str) -> None:
    assert counted(number, "score") == text


@pytest.mark.parametrize(
    ("title", "width", "text"),
    [
        ("Norvik kettle, blue", 19, "Norvik kettle, blue"),  # it fits
        ("Norvik kettle, blue", 18, "Norvik kett…, blue"),  # 11 + 1 + 6: the colour stays
        ("Norvik kettle, blue", 16, "Norvik ke…, blue"),
        ("Norvik kettle, blue", 9, "Norvik k…"),  # too narrow for both
        ("Norvik kettle", 9, "Norvik k…"),
        ("a, b, midnight blue", 12, "a, b, midni…"),  # the part behind the comma is too long
        ("青い電気ケトル", 8, "青い電…"),  # of two cells each
        ("x", 0, "…"),
    ],
)
def test_a_title_is_cut_before_its_colour(title: str, width: int, text: str) -> None:
    assert cut(title, width) == text
