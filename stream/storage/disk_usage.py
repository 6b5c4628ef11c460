"""Disk usage: how large the state directory is, and how much room its disk has left."""

import math
import os
import shutil
from pathlib import Path
from typing import NamedTuple

_PROBE_BYTES = 1 << 20  # must fit on the disk at start; RocksDB's first write-ahead log is smaller


class DiskUsage(NamedTuple):
    """Of one state directory; not a number where it cannot be read."""

    state_bytes: float
    free_bytes: float


def measure(directory: Path) -> DiskUsage:
    """Add up the files; one that RocksDB deletes meanwhile counts as nothing."""
    try:
        return DiskUsage(_size_bytes(directory), shutil.disk_usage(directory).free)
    except OSError:
        return DiskUsage(math.nan, math.nan)


def probe(path: Path) -> None:
    """Write a file to see that there is room, and remove it; raises OSError if there is none."""
    with path.open("wb") as file:
        file.write(b"\0" * _PROBE_BYTES)
        file.flush()
        os.fsync(file.fileno())
    path.unlink()


def _size_bytes(directory: Path) -> int:
    size_bytes = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                size_bytes += (Path(folder) / name).stat().st_size
            except FileNotFoundError:
                continue
    return size_bytes
