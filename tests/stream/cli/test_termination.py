"""SIGTERM and SIGHUP: 143 or 129, one line, no temporary folder left, nothing half-written.

The commands run as processes of their own, and are killed in the middle of their work.
"""

import itertools
import json
import shutil
import signal
from pathlib import Path

import pytest

from model.artifact.artifact import Artifact
from model.synthetic.shop import Shop
from tests.stream.killed_command import ROOT, has_ended_cleanly, lately, running

LATER_MS = 1_800_000_000_000  # after the events that the demo's artifact was trained on
ARTIFACT = ROOT / "model" / "demo_artifact"

pytestmark = pytest.mark.timeout(400)  # libraries to load and a model to train, one core shared


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Events in the shop of the demo."""
    path = tmp_path_factory.mktemp("log") / "events.jsonl"
    events = itertools.islice(Shop(1).events(80, LATER_MS), 3_000)
    path.write_text("".join(json.dumps(event) + "\n" for event in events))
    return path


@pytest.mark.parametrize("moment", ["reading", "training"])
def test_train_leaves_the_older_artifact_and_no_draft(
    moment: str, log: Path, tmp_path: Path
) -> None:
    """Of the checkpoints it leaves the last whole one."""
    out, checkpoints = tmp_path / "out" / "shop", tmp_path / "checkpoints"
    shutil.copytree(ARTIFACT, out)
    where = ("--out", out, "--overwrite", "--checkpoints", checkpoints)
    with lately(tmp_path, "train", log, *where, "--dim", "8", "--no-texts") as command:
        if moment == "reading":
            command.wait_until(lambda: len(list(out.parent.iterdir())) > 1)
        else:
            command.wait_until(lambda: "held out Recall@20" in command.said)
            command.wait_until((checkpoints / "search.pt").exists)
        has_ended_cleanly(command)

    assert list(out.parent.iterdir()) == [out]
    assert Artifact.open(out).version == Artifact.open(ARTIFACT).version
    assert moment == "reading" or {path.suffix for path in checkpoints.iterdir()} == {".pt"}


def test_evaluate_leaves_only_whole_plots(log: Path, tmp_path: Path) -> None:
    plots = tmp_path / "plots"
    words = ("evaluate", ARTIFACT, log, "--plots", plots, "--json", tmp_path / "figures.json")
    with lately(tmp_path, *words) as command:
        command.wait_until(lambda: plots.exists() and any(plots.iterdir()))
        has_ended_cleanly(command)

    for plot in plots.iterdir():
        assert plot.suffix == ".svg"
        assert plot.read_text().rstrip().endswith("</svg>")
    assert not (tmp_path / "figures.json").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", ["events.csv", "events.parquet"])
def test_convert_leaves_no_log_and_no_part_of_one(
    number: signal.Signals, name: str, tmp_path: Path
) -> None:
    source, out = tmp_path / "yoochoose-clicks.dat", tmp_path / "out" / name
    out.parent.mkdir()
    # So many that the signal comes while it reads.
    source.write_bytes(b"1,2014-04-07T10:51:09.277Z,214536502,0\n" * 1_000_000)
    with lately(tmp_path, "convert", "yoochoose", source, "--out", out) as command:
        command.wait_until(lambda: list(out.parent.iterdir()))
        has_ended_cleanly(command, number)

    assert list(out.parent.iterdir()) == []


# A command whose work is the text that follows; the signal comes once "working" is on stderr.
STARTED = """
import os, signal, sys, threading, time, types
from pathlib import Path
from model.scratch import removed_in_the_end, scratch_folder
from stream.cli import main, termination
termination.GRACE_S = 0.2
def working():
    print("working", file=sys.stderr, flush=True)
    time.sleep(600)
def work(**_):
"""
RUN = """
fake = types.ModuleType("stream.cli.app")
fake.app = work
sys.modules["stream.cli.app"] = fake
main.main()
"""
NATIVE_CODE = """
    import hashlib
    with scratch_folder():
        print("working", file=sys.stderr, flush=True)
        hashlib.pbkdf2_hmac("sha256", b"", b"", 2_000_000_000)
"""
LOST_EXCEPTION = """
    class Lost:
        def __del__(self):
            working()
    with scratch_folder():
        lost = Lost()
        del lost
        time.sleep(600)
"""
THREAD_WITHOUT_END = """
    threading.Thread(target=time.sleep, args=(600,)).start()
    with scratch_folder():
        working()
"""
CLEANING_THAT_TAKES_TIME = """
    termination.GRACE_S = 600
    with scratch_folder():
        try:
            working()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(0.1)
"""
A_FOLDER_JUST_MADE = """
    termination.GRACE_S = 600
    make = os.mkdir
    def make_and_wait(path, *arguments):
        make(path, *arguments)
        if Path(path).name.startswith("lately-"):
            working()
    os.mkdir = make_and_wait
    with scratch_folder():
        pass
"""
AN_EVENT_LOOP = """
    import asyncio
    termination.GRACE_S = 600
    async def serve():
        with scratch_folder():
            try:
                print("working", file=sys.stderr, flush=True)
                await asyncio.sleep(600)
            finally:
                await asyncio.sleep(0.01)  # such as the goodbye of a Kafka client
                print("left", file=sys.stderr, flush=True)
    asyncio.run(serve())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize(
    "work",
    [
        NATIVE_CODE,
        LOST_EXCEPTION,
        THREAD_WITHOUT_END,
        CLEANING_THAT_TAKES_TIME,
        A_FOLDER_JUST_MADE,
        AN_EVENT_LOOP,
    ],
    ids=[
        "native code",
        "lost exception",
        "thread without end",
        "second signal",
        "folder just made",
        "event loop",
    ],
)
def test_it_ends_whatever_the_command_is_at(
    work: str, number: signal.Signals, tmp_path: Path
) -> None:
    with running(tmp_path, "-c", STARTED + work + RUN, "nothing") as command:
        command.wait_until(lambda: "working" in command.said)
        assert command.end(number) == 128 + number, command.said

    assert command.said.count(f"lately: stopped by {number.name}\n") == 1
    assert command.left() == []
    assert ("left" in command.said) == (work == AN_EVENT_LOOP)


IGNORED = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"


def test_what_nohup_ignores_ends_nothing(tmp_path: Path) -> None:
    work = IGNORED + STARTED + "    working()\n" + RUN
    with running(tmp_path, "-c", work, "nothing") as command:
        command.wait_until(lambda: "working" in command.said)
        command.process.send_signal(signal.SIGHUP)

        assert command.end(signal.SIGTERM) == 143

    assert "SIGHUP" not in command.said


def test_ctrl_c_among_the_imports_is_no_traceback(tmp_path: Path) -> None:
    """Where no command runs yet that could see it."""
    importing = RUN.replace("fake.app = work", "fake.__getattr__ = lambda _: working()")
    with running(tmp_path, "-c", f"{STARTED}    pass\n{importing}", "nothing") as command:
        command.wait_until(lambda: "working" in command.said)
        assert command.end(signal.SIGINT) == 130

    assert command.said == "working\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_is_still_starting_ends_with_0(
    number: signal.Signals, tmp_path: Path
) -> None:
    with running(tmp_path, "-c", STARTED + "    working()\n" + RUN, "worker") as command:
        command.wait_until(lambda: "working" in command.said)
        command.process.send_signal(signal.SIGHUP)  # asks for a model that it is about to load

        assert command.end(number) == 0

    assert command.said == "working\n"
