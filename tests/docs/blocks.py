"""The blocks: what stands between fences in a document, and the commands in it."""

import re
from pathlib import Path
from typing import NamedTuple

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# A command goes on where its line ends in a backslash or a pipe.
_COMMAND = re.compile(r"(?:.*[\\|]\n)*.+")


class Block(NamedTuple):
    """One fenced block; ``line`` is where its fence opens, from 1."""

    language: str
    text: str
    line: int

    def commands(self) -> list[str]:
        """Each command of a shell block, with the lines it goes on over."""
        return [command.strip() for command in _COMMAND.findall(self.text)]


def blocks(document: Path) -> list[Block]:
    """All fenced blocks of a document, in order."""
    text = document.read_text(encoding="utf-8")
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)
        for found in _FENCED.finditer(text)
    ]
