"""Results: what counts as held, and what the table shows."""

import json
from pathlib import Path

from tests.chaos.result import Result, read_results, table

HELD = Result("broker-restart", 0, 6_000, {"O1": 0, "O7": 0}, 1.5, 3.25)
WRONG = Result("broker-restart", 1, 6_000, {"O1": 2}, 0.5, 9.0, first="O1 state: user …")
BROKEN = Result("disk-full", 0, 100, {}, 0.0, 0.0, error="AssertionError: no")


def test_a_run_holds_when_nothing_differs_and_it_came_to_its_end() -> None:
    assert HELD.passed
    assert not WRONG.passed
    assert not BROKEN.passed


def test_table_sums_differences_and_shows_the_slowest_recovery() -> None:
    head, _, row, disk = table([BROKEN, HELD, WRONG])

    assert head.startswith("| fault | runs | events | O1 |")
    assert disk.endswith("| 0.0 | 0.0 | FAILED on seed 0 |")
    assert row == (
        "| broker-restart | 2 | 12,000 | 2 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1.5 | 9.0 |"
        " FAILED on seed 1 |"
    )


def test_a_run_again_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    mended = WRONG._replace(differences={}, first="")
    rows = [HELD, WRONG, mended]
    file.write_text("".join(json.dumps(row.to_json()) + "\n" for row in rows))

    assert read_results([file]) == [HELD, mended]
