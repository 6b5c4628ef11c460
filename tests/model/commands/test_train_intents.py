"""`lately train --intent`: a shop whose actions have other names than ours."""

import itertools
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from model.artifact.artifact import GRAPH, Artifact
from model.cli import commands
from model.commands.train import _warn_if_never
from model.commands.train_options import TrainOptions
from model.data.dataset import Period, label, read_histories
from model.data.log import EventLog
from model.serving import load_scorer
from model.synthetic.demo_artifact import FOLDER
from model.synthetic.shop import Shop
from model.training import make as making
from stream.commands.read_sequence import read_sequence
from tests.model.copied_graph import copy_instead_of_export

pytestmark = pytest.mark.timeout(400)  # loads libraries and trains a model on a shared core

NAMES = {"click": "View", "cart": "AddToCart", "buy": "Purchase"}
ACTIONS = ("--actions", "View,AddToCart,Purchase,order")
INTENTS = ("--intent", "buy=Purchase,order", "--intent", "cart=AddToCart")
SMALL = ("--epochs", "1", "--dim", "8", "--no-refit", "--no-texts")
EVER = Period(-1, 1 << 60)


def run(*words: str | Path) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    commands(app, read_sequence)
    return CliRunner().invoke(app, [str(word) for word in words])


def write(path: Path, renamed: bool) -> Path:
    """A shop's events by our names, or by its own: every other purchase is an order."""
    orders = itertools.cycle(["Purchase", "order"])
    with path.open("w") as log:
        for event in itertools.islice(Shop(4, 60, 6).events(60, 1_790_000_000_000), 2_000):
            action = NAMES[event["action"]] if renamed else event["action"]
            action = next(orders) if action == "Purchase" else action
            log.write(json.dumps(event | {"action": action}) + "\n")
    return path


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("logs")
    return write(folder / "ours.jsonl", False), write(folder / "theirs.jsonl", True)


@pytest.fixture(scope="module")
def trained(logs: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("artifacts") / "theirs"
    result = run("train", logs[1], "--out", folder, *ACTIONS, *INTENTS, *SMALL)
    assert result.exit_code == 0, result.output
    assert "no intents" not in result.stderr
    return folder


def test_the_labels_are_those_of_a_log_with_our_names(
    logs: tuple[Path, Path], trained: Path
) -> None:
    artifact = Artifact.open(trained)
    theirs, ours = artifact.config, type(artifact.config)()
    catalogue = artifact.read_catalogue()

    found, expected = (
        label(read_histories(EventLog.open([log]).frame, catalogue, config), EVER, config)
        for log, config in ((logs[1], theirs), (logs[0], ours))
    )

    assert expected.intents.sum() > 0
    assert (found.intents == expected.intents).all()


def test_the_artifact_says_what_counts_and_scores_hold_the_intents(trained: Path) -> None:
    config = Artifact.open(trained).config
    scorer = load_scorer(trained)

    assert config.intents == ("cart", "buy")
    assert config.counted_actions == (("AddToCart",), ("Purchase", "order"))
    assert [set(score.intent) for score in scorer.score(scorer.sample(2))] == [{"cart", "buy"}] * 2
    shown = run("artifact", "inspect", trained).stdout
    assert "  intents   cart (AddToCart), buy (Purchase, order) within 1,800 s\n" in shown


def test_the_intents_are_judged_by_what_counts(
    logs: tuple[Path, Path], trained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "figures.json"

    result = run("evaluate", trained, logs[1], "--json", out)

    assert result.exit_code == 0, result.output
    intents = json.loads(out.read_text())["intents"]
    assert set(intents) == {"cart", "buy"}
    assert all(figures["lately"]["n"] > 0 for figures in intents.values())


def test_without_intents_one_line_says_so_and_how_to_name_them(
    logs: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_instead_of_export(monkeypatch, making, FOLDER / GRAPH)
    result = run("train", logs[1], "--out", tmp_path / "none", *ACTIONS, *SMALL)

    assert result.exit_code == 0, result.output
    notes = [line for line in result.stderr.splitlines() if "intents" in line]
    assert len(notes) == 1
    assert notes[0].startswith("note: no action is called cart or buy, so the model predicts no ")
    assert notes[0].endswith("; say which actions count, such as --intent buy=ACTION")
    assert Artifact.open(tmp_path / "none").config.intents == ()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--intent", "buy"), "expected NAME=ACTION[,ACTION]"),
        (("--intent", "=View"), "expected NAME=ACTION[,ACTION]"),
        (("--intent", "buy=View,"), "expected NAME=ACTION[,ACTION]"),
        (("--intent", "buy=View", "--intent", "buy=order"), "each name once"),
        (("--intent", "buy=purchase"), "purchase is not among --actions View,AddToCart"),
        (("--intent", "horizon_s=View"), "names other than horizon_s"),
        (("--intent", "buy=View,View"), "buy counts ['View', 'View'], expected distinct"),
        (("--intent", "buy="), "expected NAME=ACTION[,ACTION]"),
        (("--intent", "buy=purchase "), "purchase is not among --actions View"),  # another case
        (("--actions", "View,Purchase,forget", "--intent", "buy=forget"), "reserved for erasure"),
        (("--actions", "View,Purchase,"), "expected names that are not empty"),
        (("--actions", "View,View"), "expected distinct names"),
    ],
)
def test_an_invalid_intent_is_a_usage_error(
    words: tuple[str, ...], told: str, logs: tuple[Path, Path], tmp_path: Path
) -> None:
    result = run("train", logs[1], "--out", tmp_path / "out", *ACTIONS, *words)

    assert result.exit_code == 2
    assert told in " ".join(result.stderr.replace("│", " ").split())


def test_an_action_may_count_for_two_intents_and_spaces_do_not_count() -> None:
    options = TrainOptions(
        [],
        Path("out"),
        actions="View, AddToCart ,Purchase",
        intent=[" buy = Purchase , AddToCart", "cart=AddToCart"],
    )

    config = options.config()

    assert (config.intents, config.actions[1]) == (("cart", "buy"), "AddToCart")
    assert config.counted_actions == (("AddToCart",), ("Purchase", "AddToCart"))


@pytest.mark.parametrize(
    ("yes", "told"),
    [
        ({"cart": 3, "buy": 0}, "none of the newest events counts as buy, so"),
        ({"cart": 0, "buy": 0}, "none of the newest events counts as cart or buy, so"),
        ({"cart": 3, "buy": 1}, ""),
    ],
)
def test_an_intent_that_never_happens_is_said_to(
    capsys: pytest.CaptureFixture[str], yes: dict[str, int], told: str
) -> None:
    """Such as one whose action is misspelt in --actions, too."""
    _warn_if_never({"intents": {name: {"n": 9, "yes": count} for name, count in yes.items()}})

    assert told in capsys.readouterr().err
    assert bool(told) == any(not count for count in yes.values())
