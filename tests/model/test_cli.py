import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from typer.testing import CliRunner, Result

from model.artifact.artifact import GRAPH, Artifact
from model.cli import commands
from model.errors import ArtifactError, DataError, ModelError
from model.packaging import shrink as shrinking
from model.synthetic.shop import Shop
from model.training import make as making
from stream.commands.read_sequence import read_sequence
from tests.model.copied_graph import copy_instead_of_export

pytestmark = pytest.mark.timeout(400)  # loads libraries and trains a model on a shared core

START_MS = 1_790_000_000_000
N_EVENTS = 3_000
SMALL = ["--epochs", "2", "--dim", "16", "--name", "shop", "--no-refit"]


def run(*words: str | Path) -> Result:
    """Run a command; a ModelError ends up as the exception of the result."""
    app = typer.Typer(pretty_exceptions_enable=False)
    commands(app, read_sequence)
    return CliRunner().invoke(app, [str(word) for word in words])


def line_of(result: Result, error_type: type[ModelError]) -> str:
    assert isinstance(result.exception, error_type), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Users and sessions have names that can be looked for."""
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    with path.open("w") as file:
        for event in itertools.islice(Shop(4).events(80, START_MS), N_EVENTS):
            user = event["user_id"]
            event |= {"user_id": f"shopper:{user}", "session_id": f"session:{user}"}
            file.write(json.dumps(event) + "\n")
    return path


class Training(NamedTuple):
    artifact: Path
    checkpoints: Path
    result: Result


@pytest.fixture(scope="module")
def training(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Training:
    folder = tmp_path_factory.mktemp("artifacts")
    out, checkpoints = folder / "shop", folder / "checkpoints"
    result = run("train", log, "--out", out, "--checkpoints", checkpoints, *SMALL)
    assert result.exit_code == 0, result.output
    return Training(out, checkpoints, result)


@pytest.fixture(scope="module")
def trained(training: Training) -> Path:
    return training.artifact


def test_the_progress_names_each_phase(training: Training) -> None:
    """Without a terminal: a line where a phase begins, and one every ten seconds."""
    lines = [line for line in training.result.stderr.splitlines() if line.endswith("%")]

    phases = list(dict.fromkeys(line.partition(":")[0] for line in lines))
    assert phases == ["counting", "training", "judging", "calibrating", "exporting"]


def test_training_writes_an_artifact_that_can_be_served(trained: Path) -> None:
    result = run("artifact", "verify", trained)

    assert result.exit_code == 0
    assert result.stdout == f"{trained}: shop {Artifact.open(trained).version} is in order\n"


def test_the_manifest_records_how_the_artifact_was_made(trained: Path) -> None:
    fields = json.loads(run("artifact", "inspect", trained, "--json").stdout)

    assert fields["name"] == "shop"
    assert fields["made"]["by"] == "lately train"
    assert (fields["made"]["width"], fields["made"]["recipe"]["epochs"]) == (16, 2)
    assert fields["data"]["events"] == N_EVENTS
    assert fields["data"]["from_ms"] == START_MS
    assert START_MS < fields["data"]["trained_until_ms"] < fields["data"]["selected_until_ms"]


def test_artifacts_and_checkpoints_contain_no_user_and_no_session(
    training: Training, log: Path
) -> None:
    written = [*training.artifact.iterdir(), *training.checkpoints.iterdir()]
    assert {path.suffix for path in written} == {".json", ".onnx", ".safetensors", ".pt"}
    output = b"".join(path.read_bytes() for path in written) + training.result.output.encode()
    assert b"shopper:" in log.read_bytes() and b"session:" in log.read_bytes()
    assert b"i0" in output  # it does contain the items
    assert b"shopper:" not in output and b"session:" not in output


def test_inspect_prints_the_manifest_as_text(trained: Path) -> None:
    lines = run("artifact", "inspect", trained).stdout.splitlines()

    assert lines[0].startswith("shop ")
    assert "  intents   cart, buy within 1,800 s" in lines


def test_evaluate_compares_the_model_with_popularity(
    trained: Path, log: Path, tmp_path: Path
) -> None:
    out = tmp_path / "figures.json"
    result = run("evaluate", trained, log, "--json", out)

    assert result.exit_code == 0, result.output
    assert "were chosen on these events" in result.stderr
    figures = json.loads(out.read_text())
    everything = figures["items"]["all"]
    assert figures["artifact"] == Artifact.open(trained).version
    assert everything["shop"]["n"] == everything["popularity"]["n"] == N_EVENTS / 10
    assert f"{everything['shop']['recall@20']:.4f}" in result.stdout
    assert set(figures["intents"]) == {"cart", "buy"}


def test_the_served_model_reaches_the_validated_recall(
    trained: Path, log: Path, tmp_path: Path
) -> None:
    out = tmp_path / "figures.json"
    run("evaluate", trained, log, "--json", out)
    served = json.loads(out.read_text())["items"]
    validated = Artifact.open(trained).read_object("metrics.json")["held_out"]["items"]["shop"]

    warm = [served[group]["shop"] for group in ("1-4 actions", "5-19 actions", "20 and more")]
    hits = sum(group["recall@20"] * group["n"] for group in warm)
    assert validated["n"] == sum(group["n"] for group in warm)
    # Validation windows begin up to five events later than the served ones.
    assert hits / validated["n"] == pytest.approx(validated["recall@20"], abs=0.03)


def test_evaluating_on_the_training_data_is_refused(
    trained: Path, log: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.jsonl"
    old.write_text("".join(log.read_text().splitlines(keepends=True)[:500]))

    assert "give a log with newer events" in line_of(run("evaluate", trained, old), DataError)


def test_order_and_duplicates_in_the_log_change_nothing(
    trained: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_instead_of_export(monkeypatch, making, trained / GRAPH)  # made of the weights alone
    lines = log.read_text().splitlines(keepends=True)
    shuffled = tmp_path / "shuffled.jsonl"
    shuffled.write_text("".join(lines[::-1] + lines[:100]))
    folder = tmp_path / "again"
    result = run("train", shuffled, "--out", folder, *SMALL)

    assert result.exit_code == 0, result.output
    assert "100 duplicates" in result.stderr
    assert Artifact.open(folder).version == Artifact.open(trained).version


def test_shrink_reports_figures_before_and_after_only_with_events(
    trained: Path, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = run("artifact", "shrink", trained, "--out", tmp_path / "a", "--events", log)
    copy_instead_of_export(monkeypatch, shrinking, tmp_path / "a" / GRAPH)
    unmeasured = run("artifact", "shrink", trained, "--out", tmp_path / "b", "--json")

    assert measured.exit_code == 0, measured.output
    assert "were chosen on these events" in measured.stderr
    rows = [line.split() for line in measured.stdout.splitlines()]
    found = Artifact.open(tmp_path / "a").manifest.made["shrunk"]
    assert rows[0] == ["before", "after", "change"]
    assert rows[1][:4] == ["bytes", "on", "disk", f"{found['from_bytes']:,}"]
    assert [row[0] for row in rows[2:]] == ["recall@20", "mrr@20", "ndcg@20", "cart", "buy"]
    before, after = found["before"]["recall@20"], found["after"]["recall@20"]
    assert rows[2][1:] == [
        f"{before:.4f}",
        f"{after:.4f}",
        f"{round(after - before, 4) + 0.0:+.4f}",
    ]
    assert after == pytest.approx(before, abs=0.02)
    output = json.loads(unmeasured.stdout)
    assert (output["measured_on"], output["from"]) == ("nothing", Artifact.open(trained).version)
    assert "before" not in output
    again = run("artifact", "shrink", trained, "--out", tmp_path / "b", "--overwrite")
    assert again.stdout.splitlines()[-1].startswith("quality: not measured")


def test_an_artifact_is_not_overwritten_by_default(trained: Path, log: Path) -> None:
    message = line_of(run("train", log, "--out", trained), ArtifactError)

    assert "exists already" in message


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("", "is empty"),
        ('{"user_id": "u", "action": "click", "ts": 1700000000000}\n', "item_id"),
        (
            '{"user_id": "u", "item_id": "i", "action": "click", "ts": 1700000000000}\n',
            "cannot be split by time",
        ),
        (
            "".join(
                f'{{"user_id": "u{k}", "item_id": "i", "action": "click", "ts": {START_MS + k}}}\n'
                for k in range(30)
            ),
            "give a log in which users act more than once",
        ),
        (
            "".join(
                f'{{"user_id": "u", "item_id": "i", "action": "view", "ts": {START_MS + k}}}\n'
                for k in range(30)
            ),
            "--actions",
        ),
    ],
    ids=["empty", "no items", "one row", "no returning user", "unknown action"],
)
def test_a_log_that_cannot_be_trained_on_is_rejected_in_one_line(
    rows: str, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "events.jsonl"
    path.write_text(rows)

    assert message in line_of(run("train", path, "--out", tmp_path / "out"), DataError)
    assert list(tmp_path.iterdir()) == [path]  # no partial output


@pytest.mark.parametrize("column", ["user", "item"])
def test_a_log_of_one_user_or_one_item_can_be_trained_on(column: str, tmp_path: Path) -> None:
    users, items = (1, 5) if column == "user" else (5, 1)
    path = tmp_path / "events.csv"
    rows = [f"u{k % users},i{k % items},click,{START_MS + k * 1000}" for k in range(60)]
    path.write_text("user_id,item_id,action,ts\n" + "\n".join(rows) + "\n")
    out = tmp_path / "out"

    trained = run("train", path, "--out", out, "--epochs", "1", "--dim", "8", "--no-refit")
    evaluated = run("evaluate", out, path)

    assert trained.exit_code == 0, trained.output
    assert "intents are not calibrated" in trained.stderr  # a minute is less than the horizon
    assert evaluated.exit_code == 0, evaluated.output


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--network", "oracle"),
        ("--dim", "7"),
        ("--device", "abacus"),
        ("--horizon-s", "0"),
        ("--name", "popularity"),
        ("--actions", "click,click"),
        ("--held-out", "0.9"),
    ],
)
def test_an_invalid_option_is_a_usage_error(
    option: str, value: str, log: Path, tmp_path: Path
) -> None:
    result = run("train", log, "--out", tmp_path / "out", option, value)

    assert result.exit_code == 2
    assert option in result.stderr or value.split(",")[0] in result.stderr


def test_unwritable_figures_are_reported_in_one_line(
    trained: Path, log: Path, tmp_path: Path
) -> None:
    message = line_of(run("evaluate", trained, log, "--json", tmp_path / "no" / "x"), ModelError)

    assert "cannot be written" in message


def test_importing_the_commands_loads_no_heavy_library() -> None:
    heavy = {"torch", "transformers", "polars", "onnxruntime", "sklearn", "psutil", "opacus"}
    code = f"import sys, model.cli; print(*{heavy} & sys.modules.keys())"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == []
