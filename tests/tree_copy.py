"""A copy of the tree, where code may be broken on purpose, and pytest on it."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
LEFT_OUT = (".git", ".venv*", ".kafka", ".chaos", ".hypothesis", ".*_cache", "*.egg-info", "dist")
LINKED = (".kafka", ".pytest_cache/d")  # jars, and artifacts that are kept by their sources
TIMED_OUT = -1


class Result(NamedTuple):
    """Pytest's exit code or ``TIMED_OUT``, which tests did not pass, and pytest's last line."""

    code: int
    failed: list[str]
    last_line: str

    def __str__(self) -> str:
        return f"pytest ends with {self.code}: {'; '.join([*self.failed, self.last_line])}"


def copy_tree(folder: Path, source: Path = ROOT, compiled: bool = False) -> None:
    """Copy what tests need; ``compiled`` brings compiled modules along, which saves their start."""
    left_out = LEFT_OUT if compiled else (*LEFT_OUT, "__pycache__")
    shutil.copytree(
        source, folder, ignore=shutil.ignore_patterns(*left_out), dirs_exist_ok=True, symlinks=True
    )
    for name in LINKED:
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).symlink_to(ROOT / name)


def run_pytest(
    folder: Path,
    arguments: Sequence[str],
    timeout_s: float | None = None,
    environment: Mapping[str, str] | None = None,
) -> Result:
    """Run pytest in this copy; past the time-out it is killed, with all that it started."""
    pytest = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = pytest.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        os.killpg(pytest.pid, signal.SIGKILL)
        pytest.communicate()
        return Result(TIMED_OUT, [], f"no end within {timeout_s:.0f} s")
    lines = out.splitlines() or err.splitlines()
    failed = [line for line in lines if line.startswith(("FAILED tests/", "ERROR tests/"))]
    return Result(pytest.returncode, failed, lines[-1] if lines else "")
