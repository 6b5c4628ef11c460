"""The results files: what a measurement found, and where, when and with what it was taken."""

import argparse
import json
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple, Self

import psutil

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "benchmarks" / "results"
PACKAGES = (
    "lately",
    "lately-native",
    "faust-streaming",
    "aiokafka",
    "rocksdict",
    "onnxruntime",
    "numpy",
    "quixstreams",
)
BUSY_AT_START = os.getloadavg()[0]

Row = dict[str, Any]


class Result(NamedTuple):
    """One measurement: its rows, each a flat object, and how to take it again."""

    name: str
    machine: dict[str, Any]
    versions: dict[str, str]
    command: str
    taken_at: str  # UTC, as in RFC 3339
    rows: list[Row]

    @classmethod
    def now(cls, name: str, rows: Sequence[Row], versions: Mapping[str, str] | None = None) -> Self:
        """Describe rows that this process has just measured; ``versions`` adds those of peers."""
        taken_at = datetime.now(UTC).isoformat(timespec="seconds")
        found = own_versions() | dict(versions or {})
        return cls(name, machine(), found, this_command(), taken_at, list(rows))

    def save(self, folder: Path = FOLDER) -> Path:
        """Write ``NAME.json``, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.json"
        draft = path.with_suffix(".unfinished")
        draft.write_text(json.dumps(self._asdict(), indent=2) + "\n", encoding="utf-8")
        draft.replace(path)
        return path


def load(name: str, folder: Path = FOLDER) -> Result | None:
    """The result of that name; None if it was not measured."""
    path = folder / f"{name}.json"
    return Result(**json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else None


def remove(name: str, folder: Path = FOLDER) -> None:
    """Remove the result of that name, if there is one."""
    (folder / f"{name}.json").unlink(missing_ok=True)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Let the user choose the folder of the results file."""
    parser.add_argument(
        "--results", type=Path, default=FOLDER, metavar="FOLDER", help="[benchmarks/results]"
    )


def machine() -> dict[str, Any]:
    """The machine; ``load_at_start`` is how many processes wanted to run before this one did."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory_bytes": psutil.virtual_memory().total,
        "load_at_start": round(BUSY_AT_START, 2),
    }


def own_versions() -> dict[str, str]:
    """The versions of Python, of the packages that are installed, and the commit."""
    found = {"Python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if commit := _commit():
        found["commit"] = commit
    return found


def this_command() -> str:
    """The command line of this process, with ``python`` for the path of the interpreter."""
    return shlex.join(["python", *sys.orig_argv[1:]])


def _processor() -> str:
    listing = Path("/proc/cpuinfo")
    text = listing.read_text(encoding="utf-8") if listing.is_file() else ""
    named = re.search(r"^model name\s*: (.+)$", text, re.MULTILINE)
    return named[1] if named else platform.processor()


def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.strip()
