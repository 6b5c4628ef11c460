"""The picture of the demo: ``python -m docs.images.demo`` runs it and draws demo.svg beside it."""

import os
import pty
import re
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

OUTPUT = Path(__file__).with_suffix(".svg")
COLUMNS, LINES = 100, 21
_LIVE = "Ctrl-C ends"  # stands in the live view, and not in the steps before and after it
# Before each frame rich deletes the lines of the frame before it.
_REDRAW = re.compile(r"\r?\x1b\[2K(?:\x1b\[1A\x1b\[2K)*")
_CONTROL = re.compile(r"\x1b\[\?\d+[hl]")
_WEB_FONTS = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)


def main(
    seconds: Annotated[int, typer.Option(help="How long the shop is open.")] = 15,
    output: Annotated[Path, typer.Option(help="Where the picture goes.")] = OUTPUT,
) -> None:
    """Run the demo, and draw the last frame that it showed."""
    output.write_text(svg(last_frame(run(seconds))), encoding="utf-8")


def run(seconds: int) -> str:
    """Everything that the demo writes to a terminal. Raises CalledProcessError when it fails."""
    ours, theirs = pty.openpty()
    size = {"COLUMNS": str(COLUMNS), "LINES": str(LINES)}
    colours = {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
    command = [sys.executable, "-m", "stream", "demo", "--seconds", str(seconds)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | size | colours
    ) as demo:
        os.close(theirs)
        written = b"".join(iter(lambda: _read(ours), b""))
    os.close(ours)
    if demo.returncode:
        sys.stderr.write(written.decode())
        raise subprocess.CalledProcessError(demo.returncode, command)
    return written.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # Linux reports the end of the last writer as an error
        return b""


def last_frame(written: str) -> str:
    """The live view as it stood when it ended, with its colours."""
    frames = [frame for frame in _REDRAW.split(written) if _LIVE in frame]
    return _CONTROL.sub("", frames[-1]).replace("\r\n", "\n").strip("\n")


def svg(frame: str) -> str:
    """A frame as a picture that loads nothing: the fonts are the reader's own."""
    console = Console(record=True, file=StringIO(), width=COLUMNS, color_system="truecolor")
    console.print(Text.from_ansi(frame))
    return _WEB_FONTS.sub("", console.export_svg(title="lately demo", unique_id="demo"))


if __name__ == "__main__":
    typer.run(main)
