"""Medians, spread and ratios of the engines' runs."""

from typing import Any

import pytest

from benchmarks.engine import table
from benchmarks.summary import by, figure, less, more


def rows(engine: str, rates: list[float], outputs: int = 100) -> list[dict[str, Any]]:
    return [
        {
            "round": turn,
            "engine": engine,
            "events": 100,
            "outputs": outputs,
            "rate": rate,
            "steady_rate": rate * 2,
            "cpu_us": 1_000_000 / rate,
        }
        for turn, rate in enumerate(rates, 1)
    ]


OURS = rows("Lately", [100.0, 300.0, 200.0])
THEIRS = rows("Quix Streams", [50.0, 100.0, 200.0])


def test_a_figure_is_the_median_and_the_extremes_of_the_rounds() -> None:
    assert figure(OURS, "rate") == (200.0, 100.0, 300.0)


def test_ratios_are_of_medians_and_show_the_spread_of_the_rounds() -> None:
    assert more(OURS, THEIRS, "rate") == pytest.approx((200 / 100, 200 / 200, 300 / 100))
    assert less(OURS, THEIRS, "cpu_us") == pytest.approx((200 / 100, 200 / 200, 300 / 100))


def test_rounds_are_compared_with_themselves_in_whatever_order_they_ran() -> None:
    assert more(OURS, THEIRS[::-1], "rate") == more(OURS, THEIRS, "rate")


def test_rows_are_grouped_in_the_order_in_which_the_names_appear() -> None:
    assert list(by([*THEIRS, *OURS], "engine")) == ["Quix Streams", "Lately"]


def test_the_table_shows_outputs_and_events_and_our_ratios() -> None:
    lines = list(table([*OURS, *rows("stock Faust", [10.0], outputs=99)]))

    assert lines[2].split()[-2:] == ["100", "99"]
    assert lines[-1].startswith("Lately against stock Faust: CPU 20.00 ×")
