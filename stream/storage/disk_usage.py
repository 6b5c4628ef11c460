"""Disk usage: how large the state directory is, and how much room its disk has left."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple


class DiskUsage(NamedTuple):
    """Of one state directory."""

    state_bytes: int
    free_bytes: int


def measure(directory: Path) -> DiskUsage:
    """Add up the files; one that RocksDB deletes meanwhile counts as nothing."""
    size_bytes = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            try:
                size_bytes += (Path(folder) / name).stat().st_size
            except FileNotFoundError:
                continue
    return DiskUsage(size_bytes, shutil.disk_usage(directory).free)
