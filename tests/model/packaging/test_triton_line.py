"""Training without a GPU says nothing of triton, and everything else that torch says."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
# torch imports this module when it exports the first graph; a new process has not done so yet.
SCRIPT = """
import sys
sys.modules["triton"] = None  # as without a GPU
from model.packaging.export import without_triton_line
import contextlib
with {block}:
    import torch.utils.flop_counter as counter
    counter.log.warning("another line")
counter.log.warning("triton not found, said later")
"""


def said(block: str) -> str:
    """What a process writes to stderr that imports torch's module in this block."""
    command = [sys.executable, "-c", SCRIPT.format(block=block)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    ).stderr


def test_the_line_about_triton_is_not_said_and_any_other_is() -> None:
    before, after = said("contextlib.nullcontext()"), said("without_triton_line()")

    assert before.count("triton not found") == 2  # torch does say it
    assert "another line" in after
    assert after.count("triton not found") == 1 and "said later" in after
