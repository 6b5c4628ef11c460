"""The peer: the same task for another library, trained in its own environment."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.quality.asking import figures
from benchmarks.quality.folder import Task
from model.errors import ScorerError

NAME = "RecTools SASRec"
SCRIPT = Path(__file__).with_name("rectools_peer.py")
FIND = "import importlib.util as u, sys; sys.exit(u.find_spec('rectools') is None)"


def check(python: Path) -> None:
    """Raise ``ScorerError`` unless this is the Python of an environment with the peer."""
    found = python.is_file() and not subprocess.run([python, "-c", FIND], check=False).returncode
    if not found:
        raise ScorerError(
            f"{python}: is not a Python with RecTools; run `make rectools`, which creates "
            "one at .venv-rectools/bin/python"
        )


def run(
    python: Path, task: Task, minutes: float, seeds: Sequence[int], threads: int
) -> dict[str, Any]:
    """The peer's report: the median of the seeds, and the figures of each.

    Raises ``ScorerError`` if it fails.
    """
    answers = [_ask(python, task, minutes, seed, threads) for seed in seeds]
    runs = [figures(task, np.array(answer["ranks"])) for answer in answers]
    for seed, found, answer in zip(seeds, runs, answers, strict=True):
        spent = f"{answer['epochs']} epochs in {answer['train_s']:.0f} s"
        print(f"{NAME}, seed {seed}: {found}, {spent}", flush=True)
    return {
        **{name: median(found[name] for found in runs) for name in runs[0]},
        "train_s": median(answer["train_s"] for answer in answers),
        "epochs": median(answer["epochs"] for answer in answers),
        "setup": answers[0]["setup"],
        "runs": runs,
    }


def _ask(python: Path, task: Task, minutes: float, seed: int, threads: int) -> dict[str, Any]:
    content = {
        "sequences": _sequences(task),
        "questions": task.questions,
        "exclude_seen": task.exclude_seen,
        "minutes": minutes,
        "seed": seed,
        "threads": threads,
    }
    with TemporaryDirectory() as scratch:
        asked, answered = Path(scratch) / "task.json", Path(scratch) / "answer.json"
        asked.write_text(json.dumps(content), encoding="utf-8")
        # -P: otherwise the modules beside the script would shadow those it imports. Warnings are
        # off, as those of its libraries are nothing that a reader of the table could act on.
        command = [
            str(python.absolute()),
            "-P",
            "-W",
            "ignore",
            *map(str, (SCRIPT, asked, answered)),
        ]
        threaded = os.environ | {"OMP_NUM_THREADS": str(threads)}
        done = subprocess.run(command, env=threaded, cwd=scratch, check=False)
        if done.returncode:
            raise ScorerError(f"{SCRIPT.name}: ended with {done.returncode}; see its output above")
        answer: dict[str, Any] = json.loads(answered.read_text(encoding="utf-8"))
    return answer


def _sequences(task: Task) -> list[list[str]]:
    """All training sequences, as item ids."""
    names, whole = task.data.catalogue.items, task.data.whole
    bounds = zip(whole.offsets[:-1], whole.offsets[1:], strict=True)
    return [[names[code] for code in whole.items[start:end]] for start, end in bounds]
