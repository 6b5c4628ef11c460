"""Training in several processes: they train one model, each on a share of the batches."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from model.artifact.artifact import Artifact
from model.commands.train import train
from model.synthetic.shop import Shop

pytestmark = pytest.mark.timeout(400)  # two processes load libraries, on shared cores

START_MS = 1_790_000_000_000
LATELY = Path(sys.executable).parent / "lately"


def test_two_processes_write_one_model(tmp_path: Path) -> None:
    log, out = tmp_path / "log.jsonl", tmp_path / "shop"
    events = itertools.islice(Shop(3, 120, 6).events(60, START_MS), 1_500)
    log.write_text("".join(json.dumps(event) + "\n" for event in events))
    launch = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")
    train = (
        LATELY,
        "train",
        "--no-refit",
        log,
        "--out",
        out,
        "--dim",
        "8",
        "--epochs",
        "1",
        "--minutes",
        "5",
    )

    done = subprocess.run(
        [sys.executable, *launch, *map(str, train)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr[-2_000:]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log.jsonl", "shop"]  # no draft
    learning = Artifact.open(out).read_object("metrics.json")["learning"]
    assert [point["epoch"] for point in learning]  # validated after each round
    # Each prints its own loss, for each has its own batches, and both validate the same network.
    # Both write to one stream, where a line of one may come before the other's line break.
    lines = done.stderr.replace("epoch ", "\nepoch ").splitlines()
    rounds = [line.strip() for line in lines if line.startswith("epoch ")]
    judged = [line.partition("held out")[2] for line in rounds]
    assert len(set(rounds)) == len(rounds) == 2
    assert judged[0] == judged[1] != ""


@pytest.mark.parametrize("words", [["--dp-epsilon", "8"], ["--network", "path"]])
def test_private_and_path_training_reject_several_processes(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    app = typer.Typer()
    app.command()(train)

    done = CliRunner().invoke(app, ["log.jsonl", "--out", str(tmp_path / "out"), *words])

    assert done.exit_code == 2
    assert "trains in one process, 2 were started" in " ".join(done.output.split())
