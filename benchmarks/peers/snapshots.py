"""The states that the Bytewax job keeps on disk, and the environment that it runs in."""

import pickle
import sqlite3
import subprocess
from pathlib import Path

from benchmarks.peers.compact import actions_of
from benchmarks.workloads import States

ENVIRONMENT = Path(__file__).parents[2] / ".venv-bytewax"
PYTHON = ENVIRONMENT / "bin" / "python"
STEP = "last_actions.append"


def read(folder: Path) -> States:
    """The last snapshot of each user."""
    found: States = {}
    for path in folder.glob("part-*.sqlite3"):
        with sqlite3.connect(path) as database:
            rows = database.execute(
                "SELECT state_key, ser_change FROM snaps WHERE step_id = ? ORDER BY snap_epoch",
                (STEP,),
            )
            for user, state in rows:
                # Only our own job wrote them, a moment ago.
                found[user] = list(actions_of(pickle.loads(state)))  # noqa: S301
    return found


def version() -> str:
    """The version in that environment."""
    ask = "from importlib.metadata import version; print(version('bytewax'))"
    done = subprocess.run([PYTHON, "-c", ask], capture_output=True, text=True, check=True)
    return done.stdout.strip()
