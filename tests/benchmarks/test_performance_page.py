"""The page of figures: written from results files alone, and honest about where we are behind."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import page
from benchmarks.cost import Terms, cost
from benchmarks.results import Result, Row

pytestmark = pytest.mark.timeout(400)  # libraries to load, one core shared
PEER = "Kafka Streams"


def run(engine: str, turn: int, cpu_us: float, rate: float) -> dict[str, Any]:
    counts = {"round": turn, "engine": engine, "events": 1_000, "outputs": 1_000}
    return {**counts, "cpu_us": cpu_us, "rate": rate, "rss_bytes": 300_000_000, "users": 100}


def engine_rows(ours_us: float = 2.0) -> list[dict[str, Any]]:
    factors = enumerate((1.0, 1.5, 2.0), 1)
    return [
        row
        for turn, factor in factors
        for row in (
            run("Lately", turn, ours_us * factor, 100_000),
            run(PEER, turn, 8.0, 123_456),
        )
    ]


def scorer_row(items: int, cpu_us: float) -> dict[str, Any]:
    common = {"round": 1, "users": 256, "width": 64, "mean_length": 8.0}
    return {**common, "scorer": "scorer, native core", "items": items, "cpu_us": cpu_us}


def written(folder: Path, *found: Result) -> str:
    for result in found:
        result.save(folder / "results")
    path = folder / "performance.md"
    path.write_text(f"# Above\n\n{page.MARK}\nold\n")
    assert page.main(["--page", str(path), "--results", str(folder / "results")]) == 0
    return path.read_text()


def test_the_page_has_medians_spread_and_ratios_of_every_engine(tmp_path: Path) -> None:
    text = written(tmp_path, Result.now("engine-short", engine_rows()))

    assert text.startswith("# Above\n") and "old" not in text
    assert "| Lately | 3.0 (2.0–4.0) | 100,000 (100,000–100,000) | 300 | 1,000 | 1,000 |" in text
    assert f"| {PEER} | **2.67** (2.00–4.00) | **0.81** (0.81–0.81) |" in text  # 8 / 3, 100 / 123


def test_the_page_says_where_we_are_behind_and_only_there(tmp_path: Path) -> None:
    text = written(tmp_path, Result.now("engine-short", engine_rows()))
    behind = text.partition("## Where we are behind")[2]

    assert f"{PEER} has 1.23 × the events/s." in behind
    assert "less CPU" not in behind


def test_a_peer_that_needs_less_cpu_is_named(tmp_path: Path) -> None:
    text = written(tmp_path, Result.now("engine-full", engine_rows(ours_us=16.0)))

    assert f"full histories, 50 actions: {PEER} has 3.00 × less CPU per event" in text


def test_every_plot_is_on_the_page_and_equal_results_give_equal_plots(tmp_path: Path) -> None:
    found = (
        Result.now("engine-short", engine_rows()),
        Result.now("scorer", [scorer_row(10_000, 20.0), scorer_row(1_000_000, 900.0)]),
    )
    text = written(tmp_path, *found)
    drawn = {path.name: path.read_bytes() for path in (tmp_path / "performance").iterdir()}

    assert set(drawn) == {"engine-short.svg", "scorer.svg"}
    assert all(f"](performance/{name})" in text for name in drawn)
    assert written(tmp_path, *found) == text
    again = {path.name: path.read_bytes() for path in (tmp_path / "performance").iterdir()}
    assert again == drawn


def test_costs_are_of_the_engine_and_the_score_together(tmp_path: Path) -> None:
    found = Result.now("scorer", [scorer_row(10_000, 27.0)])
    text = written(tmp_path, Result.now("engine-short", engine_rows()), found)

    # 1e6 users x 10 events / 86,400 s x 3 at the peak x 30 µs = 0.0104 cores, for 730 h at 0.04.
    cores = 1e6 * 10 / 86_400 * 3 * (27 + 3) / 1e6
    assert cost(30.0, Terms()) == pytest.approx((cores, cores * 730 * 0.04))
    assert f"| 10,000 | 27.0 | 3.0 | {cores:.2f} | {cores * 730 * 0.04:.2f} |" in text


def test_a_worker_has_the_share_that_its_scorer_takes_alone(tmp_path: Path) -> None:
    row = {
        "round": 1,
        "model": "demo",
        "worker_us": 50.0,
        "alone_us": 40.0,
        "scores_per_s": 9_000.0,
    }
    text = written(tmp_path, Result.now("models", [row]))

    share = 40 / 50
    assert f"| demo | 50.0 (50.0–50.0) | 40.0 (40.0–40.0) | {share:.0%} | 9,000 " in text


def test_the_kernel_has_a_column_for_each_size_and_batch(tmp_path: Path) -> None:
    rows = [
        {"round": 1, "engine": name, "items": items, "users": 64, "width": 64, "cpu_us": cpu_us}
        for name, items, cpu_us in (
            ("a", 50_000, 40.0),
            ("b", 50_000, 60.0),
            ("a", 1_000_000, 900.0),
        )
    ]
    text = written(tmp_path, Result.now("kernel", rows))

    assert "| | 50,000 items, 64 | 1,000,000 items, 64 |" in text.replace("|  |", "| |")
    assert "| b | 60.0 (60.0–60.0) | – |" in text


def test_any_other_result_is_a_table(tmp_path: Path) -> None:
    rows: list[Row] = [{"deadline_ms": 25, "p99_ms": 41.5}, {"deadline_ms": 100, "note": "a|b"}]
    text = written(tmp_path, Result.now("half_load", rows))

    assert "## Half load" in text
    assert "| 25 | 41.5 | – |" in text


def test_the_page_names_the_machine_the_versions_and_each_command(tmp_path: Path) -> None:
    result = Result.now("half_load", [{"p99_ms": 1.0}], {PEER: "4.3.0"})
    text = written(tmp_path, result)

    assert f"| {PEER} | 4.3.0 |" in text
    assert f"{result.machine['cpus']} cores" in text
    assert f"```sh\n{result.command}\n```" in text


def test_without_results_the_page_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "performance.md"
    path.write_text(f"# Above\n\n{page.MARK}\nold\n")

    assert page.main(["--page", str(path), "--results", str(tmp_path / "none")]) == 1
    assert path.read_text().endswith("old\n")
