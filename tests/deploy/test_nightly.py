"""deploy/nightly.sh, with a `lately` that only pretends: which model serves in the end, and how."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "nightly.sh"
# It writes what the commands write, notes what it was asked, and gives each model its figure.
LATELY = """#!{python}
import json, pathlib, sys
words = sys.argv[1:]
def option(name):
    return pathlib.Path(words[words.index(name) + 1])
with open("{notes}", "a") as notes:
    print(*words, file=notes)
if words[0] == "{fails}":
    sys.exit(1)
if words[0] == "export":
    option("--out").mkdir()
    (option("--out") / "events-00000.jsonl").touch()
if words[0] == "train":
    option("--out").mkdir()
    (option("--out") / "mrr").write_text("{new}")
if words[0] == "evaluate":
    mrr = float((pathlib.Path(words[1]) / "mrr").read_text())
    figures = {{"a model": {{"mrr@20": mrr}}, "popularity": {{"mrr@20": 0.9}}}}
    option("--json").write_text(json.dumps({{"items": {{"all": figures}}}}))
"""


class Night:
    """A folder of models, and a `lately` on the path."""

    def __init__(self, folder: Path) -> None:
        self.models = folder / "models"
        self.models.mkdir()
        self.notes = folder / "notes"
        self.notes.touch()
        self._bin = folder / "bin"
        self._bin.mkdir()

    def serve(self, mrr: float) -> Path:
        """Let a model with this figure serve."""
        before = self.models / "before"
        before.mkdir()
        (before / "mrr").write_text(str(mrr))
        (self.models / "serving").symlink_to("before")
        return before

    def run(self, *options: str, new: float = 0.5, fails: str = "") -> tuple[int, str]:
        """Exit code and output of a night that trains a model with the figure ``new``."""
        lately = self._bin / "lately"
        names = {"python": sys.executable, "notes": self.notes, "new": new, "fails": fails}
        lately.write_text(LATELY.format(**names))
        lately.chmod(lately.stat().st_mode | stat.S_IXUSR)
        path = f"{self._bin}:{os.environ['PATH']}"
        done = subprocess.run(
            [SCRIPT, self.models, *options],
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout

    def serving(self) -> str:
        """The name of the model that serves."""
        return str((self.models / "serving").readlink())

    def asked(self, command: str) -> list[list[str]]:
        """The arguments of each call of this command, without the folder of the night."""
        calls = [line.split() for line in self.notes.read_text().splitlines()]
        return [
            [word.rpartition("/")[2] for word in words]
            for first, *words in calls
            if first == command
        ]


@pytest.fixture
def night(tmp_path: Path) -> Night:
    return Night(tmp_path)


def test_the_first_model_serves(night: Night) -> None:
    code, said = night.run()

    assert code == 0
    assert "no model served before it" in said
    assert (night.models / "serving" / "mrr").read_text() == "0.5"


def test_a_better_model_takes_over_and_the_old_one_is_kept(night: Night) -> None:
    before = night.serve(0.4)
    code, said = night.run(new=0.5)

    assert code == 0
    assert said.endswith("its MRR@20 is 0.5, that of the model before it 0.4\n")
    assert night.serving() != "before"
    assert (night.models / "serving" / "mrr").read_text() == "0.5"
    assert before.is_dir()


@pytest.mark.parametrize("new", [0.4, 0.3, 9e-05])
def test_a_model_that_is_no_better_does_not_serve(night: Night, new: float) -> None:
    night.serve(0.4)
    code, said = night.run(new=new)

    assert code == 0
    assert said.startswith("the model that serves stays: its MRR@20 is 0.4")
    assert night.serving() == "before"
    assert sorted(path.name for path in night.models.iterdir()) == ["before", "serving"]


@pytest.mark.parametrize("fails", ["export", "train", "evaluate"])
def test_a_command_that_fails_ends_the_night_and_leaves_all_as_it_was(
    night: Night, fails: str
) -> None:
    night.serve(0.4)
    code, _ = night.run(new=0.5, fails=fails)

    assert code == 1
    assert night.serving() == "before"
    assert sorted(path.name for path in night.models.iterdir()) == ["before", "serving"]


def test_both_models_are_asked_about_a_day_that_the_new_one_did_not_see(night: Night) -> None:
    night.serve(0.4)
    night.run("--items", "items.csv", new=0.5)
    (trained,) = night.asked("train")

    assert night.asked("export") == [
        ["--since", "30d", "--until", "24h", "--out", "past"],
        ["--since", "24h", "--out", "newest"],
    ]
    assert "past/events-00000.jsonl" in night.notes.read_text().split("train", 1)[1].split()[0]
    assert trained[-2:] == ["--items", "items.csv"]
    evaluated = [line for line in night.notes.read_text().splitlines() if "evaluate" in line]
    assert [Path(line.split()[1]).name for line in evaluated] == ["model", "serving"]
    assert all("newest/events-00000.jsonl" in line for line in evaluated)
