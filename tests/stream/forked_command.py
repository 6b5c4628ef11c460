"""Command lines, each in a process that is forked from one with the imports of the command line.

A process of its own takes half a second, most of it for those imports; a forked one takes a tenth.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
# The child goes on behind the loop, and ends as any Python process does.
_FORK = """
import json, os, sys
import stream.cli.app, typer.exceptions
from stream.cli.main import main
for line in sys.stdin:
    asked = json.loads(line)
    if os.fork() == 0:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for number, path in (1, asked["stdout"]), (2, asked["stderr"]):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        os.environ.update(asked["variables"])
        sys.argv = ["lately", *(os.fsdecode(word.encode()) for word in asked["words"])]
        break
    print(os.waitstatus_to_exitcode(os.wait()[1]), flush=True)
else:
    sys.exit()
"""


class ForkedCommands:
    """Runs one command line after the other; a context that ends with its process.

    ``variables`` are in the environment of the interpreter, which reads some of them only when it
    starts. ``code`` is what a child runs; it may call ``main``.
    """

    def __init__(
        self, folder: Path, variables: Mapping[str, str] | None = None, code: str = "main()"
    ) -> None:
        self._streams = {name: folder / name for name in ("stdout", "stderr")}
        self._forking = subprocess.Popen(
            [sys.executable, "-c", _FORK + code],
            cwd=ROOT,
            env={**os.environ, **(variables or {})},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._forking.communicate()  # no more command lines: it ends

    def run(self, *words: str | Path, **variables: str) -> "subprocess.CompletedProcess[bytes]":
        """Run a command line of ``lately``; ``variables`` are set before it starts."""
        arguments = [str(word) for word in words]
        streams = {name: str(path) for name, path in self._streams.items()}
        asked = {"words": arguments, "variables": variables, **streams}
        assert self._forking.stdin is not None and self._forking.stdout is not None
        print(json.dumps(asked), file=self._forking.stdin, flush=True)
        code = int(self._forking.stdout.readline())
        written = {name: path.read_bytes() for name, path in self._streams.items()}
        return subprocess.CompletedProcess(arguments, code, **written)
