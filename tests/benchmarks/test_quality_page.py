"""The page and its plots: their rows, and reports of older versions."""

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.quality import document, plots
from benchmarks.quality.joining import join
from benchmarks.quality.report import table

pytestmark = pytest.mark.timeout(400)  # libraries to load, one core shared

OLD = {
    "path": "/somewhere/of/mine/tmall",
    "protocol": "all prefixes",
    "network": "transformer",
    "questions": 25_412,
    "model": {"P@20": 50.0, "MRR@20": 20.0},
    "baselines": {"rules": {"P@20": 10.0, "MRR@20": 5.0}},
    "train_s": 60.0,
    "seeds": [0, 1],
}
POINTS = [
    {"epoch": 1.0, "loss": 3.0, "recall@20": 0.1, "mrr@20": 0.05},
    {"epoch": 2.0, "loss": 2.0, "recall@20": 0.3, "mrr@20": 0.15},
]
PEER = {"P@20": 40.0, "MRR@20": 25.0, "train_s": 61.0, "epochs": 3.5, "setup": {"n_blocks": 1}}
BINS = {"said": [0.1, 0.4], "came": [0.2, 0.3]}
BUY = {"auc": 0.7, "ece": 0.05, "intervals": {"auc": [0.6, 0.8], "ece": [0.03, 0.1]}}
NEW = OLD | {
    "runs": [{"P@20": 49.0, "MRR@20": 21.0}, {"P@20": 51.0, "MRR@20": 19.0}],
    "learning": [POINTS, POINTS],
    "peers": {"RecTools SASRec": PEER},
    "buy": {"whole": [BUY | {"reliability": BINS}]},
}


def written(report: dict[str, Any], folder: Path) -> str:
    (folder / "report.json").write_text(json.dumps(report))
    page = folder / "quality.md"
    page.write_text(f"# Above\n\n{document.MARK}\nold\n")
    document.main([folder / "report.json"], page)
    return page.read_text()


def test_the_page_keeps_its_text_and_contains_no_local_path(tmp_path: Path) -> None:
    text = written(OLD, tmp_path)

    assert text.startswith("# Above\n")
    assert "old" not in text and "/somewhere" not in text
    assert table(OLD | {"path": "tmall"}) in text
    assert "25,412 questions; seeds 0, 1; 60 s to train" in text


def test_an_older_report_has_only_the_plot_it_has_figures_for(tmp_path: Path) -> None:
    text = written(OLD, tmp_path)

    assert "](quality/tmall-transformer-standing.svg)" in text
    assert [path.name for path in (tmp_path / "quality").iterdir()] == [
        "tmall-transformer-standing.svg"
    ]


def test_every_plot_is_on_the_page(tmp_path: Path) -> None:
    text = written(NEW, tmp_path)

    drawn = {path.name for path in (tmp_path / "quality").iterdir()}
    assert drawn == {
        f"tmall-transformer-{name}.svg" for name in ("standing", "learning", "reliability")
    }
    assert all(f"](quality/{name})" in text for name in drawn)


def test_equal_reports_give_equal_plots(tmp_path: Path) -> None:
    drawn = []
    for _ in range(2):
        written(NEW, tmp_path)
        drawn.append({path: path.read_bytes() for path in (tmp_path / "quality").iterdir()})

    assert drawn[0] == drawn[1]


def test_the_page_describes_the_peer(tmp_path: Path) -> None:
    assert "RecTools SASRec: 3.5 epochs in 61 s; n_blocks 1." in written(NEW, tmp_path)


def test_the_peer_is_below_the_model_and_seeds_have_their_range() -> None:
    lines = [line.split("  ") for line in table(NEW).splitlines()[2:6]]

    assert [[word.strip() for word in line if word.strip()] for line in lines] == [
        ["Lately transformer", "50.00", "20.00"],
        ["least of 2 seeds", "49.00", "19.00"],
        ["most of 2 seeds", "51.00", "21.00"],
        ["RecTools SASRec (same run)", "40.00", "25.00"],
    ]


def test_one_seed_has_no_range() -> None:
    assert "seeds" not in table(NEW | {"runs": NEW["runs"][:1]})  # type: ignore[index]


def test_bars_have_the_length_of_their_figures_and_the_best_is_on_top() -> None:
    left, right = plots.standing(NEW | {"questions": 0}).axes

    who = [label.get_text() for label in left.get_yticklabels()]
    assert who == ["rules", "RecTools SASRec (same run)", "Lately transformer"]
    assert [bar.get_width() for bar in left.patches] == [10.0, 40.0, 50.0]  # type: ignore[attr-defined]
    assert [bar.get_width() for bar in right.patches] == [5.0, 25.0, 20.0]  # type: ignore[attr-defined]


def test_a_line_over_the_bar_shows_the_range_of_the_seeds() -> None:
    left, _ = plots.standing(NEW).axes

    assert [line.get_xdata().tolist() for line in left.lines] == [[49.0, 51.0]]  # type: ignore[union-attr]


def test_the_published_figures_of_the_same_questions_are_bars_too() -> None:
    left, _ = plots.standing(OLD).axes

    who = [label.get_text() for label in left.get_yticklabels()]
    assert "COTREC, from memory (published)" in who


def test_reports_on_one_folder_with_other_seeds_are_joined() -> None:
    one = NEW | {"seeds": [0], "runs": [{"P@20": 49.0, "MRR@20": 21.0}], "learning": [POINTS]}
    one["peers"] = {"RecTools SASRec": PEER | {"runs": [{"P@20": 40.0, "MRR@20": 25.0}]}}
    peers = PEER | {"epochs": 5.0, "runs": [{"P@20": 42.0, "MRR@20": 23.0}] * 2}
    two = NEW | {"seeds": [1, 2], "train_s": 90.0, "peers": {"RecTools SASRec": peers}}
    (joined,) = join([one, two])

    # Medians over the three runs, not over the two reports.
    assert joined["seeds"] == [0, 1, 2]
    assert joined["model"] == {"P@20": 49.0, "MRR@20": 21.0}
    assert joined["train_s"] == 90.0
    assert joined["peers"]["RecTools SASRec"]["P@20"] == 42.0
    assert joined["peers"]["RecTools SASRec"]["epochs"] == 5.0
    assert len(joined["learning"]) == 3


def test_reports_on_other_folders_stay_apart() -> None:
    assert join([OLD, OLD | {"path": "/elsewhere"}]) == [OLD, OLD | {"path": "/elsewhere"}]


def test_reports_with_other_questions_are_not_joined() -> None:
    with pytest.raises(ValueError, match="questions differs"):
        join([NEW, NEW | {"questions": 1}])
