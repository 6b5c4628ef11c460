"""Disk usage: how large the state directory is, and how much room its disk has left."""

import math
import os
import shutil
from pathlib import Path
from typing import NamedTuple


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


def _size_bytes(directory: Path) -> int:
    size_bytes = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                size_bytes += (Path(folder) / name).stat().st_size
            except FileNotFoundError:
                continue
    return size_bytes
