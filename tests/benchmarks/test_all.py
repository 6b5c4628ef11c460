"""All measurements in turn: one that fails stops nobody, and what has a result can stay."""

from pathlib import Path

import pytest

from benchmarks import all as everything
from benchmarks import page, results


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The modules that were run; that of the scorer fails."""
    modules: list[str] = []

    def succeeds(line: list[str]) -> bool:
        modules.append(line[2])
        return line[2] != "benchmarks.scorer"

    monkeypatch.setattr(everything, "succeeds", succeeds)
    monkeypatch.setattr(page, "main", lambda _: 0)
    return modules


def test_a_section_that_fails_stops_no_other(ran: list[str], tmp_path: Path) -> None:
    sections = ["scorer", "engine-short", "engine-zipf"]

    assert everything.main(["--results", str(tmp_path), "--sections", *sections]) == 1
    assert ran == ["benchmarks.engine", "benchmarks.engine", "benchmarks.scorer"]


def test_resumed_it_measures_what_has_no_result(ran: list[str], tmp_path: Path) -> None:
    results.Result.now("engine-short", []).save(tmp_path)
    sections = ["engine-short", "engine-zipf"]
    arguments = ["--results", str(tmp_path), "--sections", *sections, "--resume"]

    assert everything.main(arguments) == 0
    assert ran == ["benchmarks.engine"]


def test_from_the_start_no_older_result_is_kept(ran: list[str], tmp_path: Path) -> None:
    results.Result.now("engine-short", []).save(tmp_path)

    everything.main(["--results", str(tmp_path), "--sections", "engine-short"])

    assert results.load("engine-short", tmp_path) is None  # nothing measured it here
    assert ran == ["benchmarks.engine"]


def test_what_takes_longer_is_measured_if_asked_for(ran: list[str], tmp_path: Path) -> None:
    everything.main(["--results", str(tmp_path), "--resume"])
    assert "benchmarks.scorer" in ran and "benchmarks.scale" not in ran

    everything.main(["--results", str(tmp_path), "--resume", "--more"])
    assert "benchmarks.scale" in ran
