"""The peer, with a stub for its library: its input and its evaluation."""

import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from benchmarks.quality import peer, rectools_peer
from benchmarks.quality.__main__ import main
from benchmarks.quality.folder import Task, read_s3rec
from model.errors import ScorerError

# It answers with a rank of 1 + seed, and returns its input.
STAND_IN = """
import json, sys
from pathlib import Path
asked, answered = map(Path, sys.argv[1:3])
task = json.loads(asked.read_text())
ranks = [1 + task["seed"]] * len(task["questions"])
answer = {"ranks": ranks, "train_s": 60.0 + task["seed"], "epochs": 2.0, "setup": task}
answered.write_text(json.dumps(answer))
"""
HERE = Path(sys.executable)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    (tmp_path / "sequences.txt").write_text("1 a b c d\n2 b c a\n")
    return read_s3rec(tmp_path)


def stand_in(folder: Path, program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    script = folder / "stand_in.py"
    script.write_text(program)
    monkeypatch.setattr(peer, "SCRIPT", script)


def test_the_peer_gets_the_training_sequences_and_the_questions(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, STAND_IN, monkeypatch)

    given = peer.run(HERE, task, 10.0, [0], 2)["setup"]

    assert given == {
        "sequences": [["a", "b", "c"], ["b", "c"]],
        "questions": [[["a", "b", "c"], "d"], [["b", "c"], "a"]],
        "exclude_seen": True,
        "minutes": 10.0,
        "seed": 0,
        "threads": 2,
    }


def test_the_peer_reports_the_median_of_several_seeds(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, STAND_IN, monkeypatch)

    found = peer.run(HERE, task, 10.0, [0, 2, 10], 2)

    assert [one["R@10"] for one in found["runs"]] == [1.0, 1.0, 0.0]
    assert found["R@10"] == 1.0
    assert found["N@10"] == pytest.approx(1 / 2)  # rank 3: 1 / log2(4)
    assert found["train_s"] == 62.0


def test_a_failing_peer_is_reported_in_one_line(
    task: Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, "raise SystemExit(3)", monkeypatch)

    with pytest.raises(ScorerError, match="ended with 3"):
        peer.run(HERE, task, 10.0, [0], 2)


@pytest.mark.parametrize("python", [Path("nowhere/bin/python"), HERE], ids=["none", "without"])
def test_a_missing_environment_is_reported_with_the_command_that_makes_it(python: Path) -> None:
    with pytest.raises(ScorerError, match="run `make rectools`"):
        peer.check(python)


def test_a_format_the_peer_does_not_support_is_rejected_first() -> None:
    app = typer.Typer()
    app.command()(main)

    words = ["--format", "jdata", "--path", "nowhere", "--peer", str(HERE)]
    refused = CliRunner().invoke(app, words)

    assert refused.exit_code == 2
    assert "--peer works with s3rec and session-prefixes only" in refused.stderr


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("a", 1),
        ("b", 3),  # the last of two equals
        ("c", 3),
        ("d", 4),
        ("stranger", 0),
    ],
)
def test_a_tied_target_ranks_last(target: str, expected: int) -> None:
    listed = [("a", 0.9), ("b", 0.5), ("c", 0.5), ("d", 0.1)]

    assert rectools_peer.rank(listed, target) == expected
