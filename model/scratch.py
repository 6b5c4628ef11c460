"""Scratch: temporary folders and unfinished files, gone however the process ends."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_unfinished: set[Path] = set()


@contextmanager
def scratch_folder(prefix: str = "lately-", beside: Path | None = None) -> Iterator[Path]:
    """A new folder, removed in the end: in ``beside``, or where the system keeps such folders.

    Raises ``OSError`` if it cannot be made.
    """
    # Its name is noted before it exists: a signal may come between any two instructions.
    folder = (beside or Path(tempfile.gettempdir())) / f"{prefix}{secrets.token_hex(8)}"
    with removed_in_the_end(folder):
        folder.mkdir(mode=0o700)
        yield folder


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; the file gets its own name once it is complete."""
    part = path.with_name(f"{path.name}.part")
    with removed_in_the_end(part):
        yield part
        part.replace(path)


@contextmanager
def removed_in_the_end(path: Path) -> Iterator[None]:
    """Remove this file or folder when the block ends, if it is still there."""
    _unfinished.add(path)
    try:
        yield
    finally:
        _remove(path)
        _unfinished.discard(path)


def remove_unfinished() -> None:
    """Remove what blocks still have open, since the process is about to end within them."""
    for path in tuple(_unfinished):
        _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
