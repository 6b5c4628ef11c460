"""The evaluation run and its command, with a stub for the model, and the notes they print."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from model.artifact import artifact as files
from model.artifact.artifact import Artifact, ArtifactWriter
from model.artifact.calibration import Calibration
from model.baselines import BASELINES
from model.catalogue import Catalogue
from model.commands.evaluate import evaluate
from model.errors import ArtifactError, DataError, ModelError
from tests.model.shop_log import CATALOGUE, CONFIG, Spy

pytestmark = pytest.mark.timeout(400)  # libraries to load, one core shared

OLD_MS = 1_700_000_000_000
TRAINED_MS, SELECTED_MS = OLD_MS + 100_000, OLD_MS + 200_000
DATA = {"from_ms": OLD_MS, "trained_until_ms": TRAINED_MS, "selected_until_ms": SELECTED_MS}
HELD_OUT = {"intents": {"buy": {"threshold": 0.4}, "cart": {"threshold": None}}}


def write(folder: Path, catalogue: Catalogue = CATALOGUE, **data: Any) -> Artifact:
    calibration = Calibration(("cart", "buy"), (1.0, 1.0), (0.0, 0.0), (0.12, 0.03))
    epochs = [{"epoch": 1, "loss": 1.0, "recall@20": 0.5, "mrr@20": 0.2}]
    with ArtifactWriter(folder) as writer:
        writer.write_object(files.CATALOGUE, catalogue.to_json())
        writer.write_object(files.CALIBRATION, calibration.to_json())
        writer.write_object(files.METRICS, {"held_out": HELD_OUT, "learning": epochs})
        return writer.seal(CONFIG, created_at="2026-01-02T03:04:05Z", data=data or DATA, made={})


@pytest.fixture
def artifact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("model.serving.load_scorer", lambda _: Spy("abc", CONFIG.name))
    return write(tmp_path / "artifact").folder


def log(folder: Path, users: dict[str, str], start_ms: int, name: str = "events.jsonl") -> Path:
    """A log of users as strings of items; one click per second, the third event a buy."""
    rows = [
        {"user_id": user, "item_id": item, "action": "buy" if at == 2 else "click", "ts": ts}
        for user, items in users.items()
        for at, item in enumerate(items)
        for ts in [start_ms + at * 1000]
    ]
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def run(*words: str | Path) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(evaluate)
    return CliRunner().invoke(app, [str(word) for word in words])


def figures(artifact: Path, *logs: Path) -> tuple[dict[str, Any], str]:
    out = artifact.parent / "figures.json"
    result = run(artifact, *logs, "--json", out)
    assert result.exit_code == 0, result.output
    return json.loads(out.read_text()), result.stderr


def line_of(result: Result, error_type: type[ModelError]) -> str:
    assert isinstance(result.exception, error_type), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return log(tmp_path, {"u": "abab", "v": "acac"}, OLD_MS, "old.jsonl")


@pytest.fixture
def new(tmp_path: Path) -> Path:
    return log(tmp_path, {"u": "abacab" * 4, "w": "cb"}, SELECTED_MS, "new.jsonl")


def test_the_model_is_compared_with_every_baseline(artifact: Path, old: Path, new: Path) -> None:
    found, notes = figures(artifact, old, new)

    assert list(found["items"]["all"]) == [CONFIG.name, *BASELINES]
    assert set(found["intents"]["buy"]) == {CONFIG.name, "popularity"}
    assert found["items"]["all"]["rules"]["n"] == 6 * 4 + 2
    assert "note" not in notes


def test_baselines_are_fitted_on_the_training_events_only(
    artifact: Path, old: Path, new: Path, tmp_path: Path
) -> None:
    held_out = log(tmp_path, {"x": "cbcbcbcb"}, TRAINED_MS, "held_out.jsonl")

    with_it, without = figures(artifact, old, held_out, new), figures(artifact, old, new)
    assert with_it[0]["items"] == without[0]["items"]


def test_thresholds_come_from_training(artifact: Path, old: Path, new: Path) -> None:
    thresholds = figures(artifact, old, new)[0]["thresholds"]

    assert thresholds["buy"]["chance"] == 0.4
    assert thresholds["cart"]["chance"] == 0.12  # no positives there: the base rate


def test_events_used_for_model_selection_give_a_note_and_no_threshold(
    artifact: Path, old: Path, tmp_path: Path
) -> None:
    held_out = log(tmp_path, {"u": "abab"}, TRAINED_MS, "held_out.jsonl")
    found, notes = figures(artifact, old, held_out)

    assert "were chosen on these events" in notes
    assert found["thresholds"]["buy"]["chance"] == 0.03


def test_training_events_are_rejected(artifact: Path, old: Path) -> None:
    assert "give a log with newer events" in line_of(run(artifact, old), DataError)


def test_without_the_training_log_only_two_baselines_are_compared(
    artifact: Path, new: Path
) -> None:
    found, notes = figures(artifact, new)

    assert "give the training log too" in notes
    assert list(found["items"]["all"]) == [CONFIG.name, "popularity", "newest_first"]
    assert found["items"]["warm item"][CONFIG.name]["n"] == 26  # by the artifact's counts


def test_cold_items_are_those_absent_from_training(
    artifact: Path, new: Path, tmp_path: Path
) -> None:
    old = log(tmp_path, {"u": "abab"}, OLD_MS, "old.jsonl")
    found, _ = figures(artifact, old, new)

    assert found["items"]["cold item (never trained on)"][CONFIG.name]["n"] == 4 + 1  # the c


def test_items_that_the_model_lacks_are_told_apart(artifact: Path, tmp_path: Path) -> None:
    """A scorer may list them, and so may a rule: newest first has each second look right."""
    found, _ = figures(artifact, log(tmp_path, {"u": "zzxx"}, SELECTED_MS))

    # The first z and the first x are in no window yet.
    assert found["items"]["all"]["newest_first"]["recall@20"] == 2 / 4
    assert found["items"]["cold item (never trained on)"]["newest_first"]["n"] == 4


def test_the_verdict_comes_first_and_the_report_is_one_page(
    artifact: Path, old: Path, new: Path, tmp_path: Path
) -> None:
    result = run(artifact, old, new, "--report", tmp_path / "report.html")

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(f"{CONFIG.name} lists the next item among its 20 for ")
    assert max(map(len, result.stdout.splitlines())) < 80
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 6


def test_order_and_duplicates_do_not_matter(artifact: Path, old: Path, new: Path) -> None:
    lines = new.read_text().splitlines(keepends=True)
    shuffled = new.with_name("shuffled.jsonl")
    shuffled.write_text("".join(lines[::-1] + lines[:3]))

    assert figures(artifact, old, shuffled)[0] == figures(artifact, old, new)[0]


@pytest.mark.parametrize("items", ["a", "aaaa", "z"])
def test_a_log_of_one_user_and_one_item_is_evaluated(
    artifact: Path, tmp_path: Path, items: str
) -> None:
    found, notes = figures(artifact, log(tmp_path, {"u": items}, SELECTED_MS))

    everything = found["items"]["all"][CONFIG.name]
    assert everything["n"] == len(items)
    assert everything["recall@20"] == (0 if items == "z" else 1)
    assert ("log of another shop" in notes) == (items == "z")


def test_a_catalogue_of_one_item_is_evaluated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.serving.load_scorer", lambda _: Spy("a", CONFIG.name))
    single = write(tmp_path / "single", Catalogue.from_names(["a"], [None], [1])).folder
    older = log(tmp_path, {"u": "aa"}, OLD_MS, "older.jsonl")
    found, _ = figures(single, older, log(tmp_path, {"u": "aaa"}, SELECTED_MS))

    assert {cells["recall@20"] for cells in found["items"]["1-4 actions"].values()} == {1.0}
    assert found["variety"][CONFIG.name]["diversity"] is None


def test_an_empty_log_is_reported(artifact: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")

    assert "empty" in line_of(run(artifact, empty), DataError)


@pytest.mark.usefixtures("artifact")  # replaces the scorer
def test_an_artifact_without_its_training_time_is_rejected(new: Path, tmp_path: Path) -> None:
    folder = write(tmp_path / "timeless", events=0).folder

    assert "no trained_until_ms" in line_of(run(folder, new), ArtifactError)


def test_plots_are_written_for_the_available_data(
    artifact: Path, old: Path, new: Path, tmp_path: Path
) -> None:
    out = tmp_path / "figures.json"
    result = run(artifact, old, new, "--plots", tmp_path / "plots", "--json", out)

    assert result.exit_code == 0, result.output
    names = sorted(path.stem for path in (tmp_path / "plots").glob("*.svg"))
    assert names == [
        "confusion",
        "learning_curve",
        "precision_recall",
        "recall_by_delay",
        "reliability",
        "roc",
    ]
    assert [point["delay_s"] for point in json.loads(out.read_text())["by_delay"]][:2] == [0, 10]
