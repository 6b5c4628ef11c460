"""How the live views write a probability, an age, a share and a number."""

import pytest

from stream.commands.terminal import age, bar, counted, percent


@pytest.mark.parametrize(
    ("probability", "text"),
    [
        (0.0, "0 %"),  # nothing is nothing
        (0.0049, "<1 %"),  # and a little is a little
        (0.0051, "1 %"),
        (0.314, "31 %"),
        (1.0, "100 %"),
    ],
)
def test_a_probability_is_whole_percents(probability: float, text: str) -> None:
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
def test_an_age_is_in_the_largest_unit_that_fits(passed_ms: float, text: str) -> None:
    assert age(passed_ms) == text


@pytest.mark.parametrize(
    ("share", "lit"),
    [
        (0.0, 0),
        (0.001, 1),  # a little is never drawn as nothing
        (0.5, 4),
        (1.0, 8),
        (1.7, 8),  # and too much not beyond the end
    ],
)
def test_a_bar_is_lit_by_its_share(share: float, lit: int) -> None:
    assert bar(share, 8).plain == "━" * lit + "─" * (8 - lit)


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 scores"), (1, "1 score"), (2, "2 scores"), (1_000, "1,000 scores")]
)
def test_one_is_not_many(number: int, text: str) -> None:
    assert counted(number, "score") == text
