"""Memory: how much cleaning and counting a log takes, and how much is free."""

from pathlib import Path

from model.errors import DataError

# Measured: 2 million rows of 69 bytes took 0.9 GB, not counting the libraries, to clean them, read
# them into columns and count co-occurrences.
BYTES_A_ROW = 450
LIMIT, USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def check_memory(name: str, rows: int) -> None:
    """Raise ``DataError`` for a log so large that the system would kill this process."""
    needed, free = rows * BYTES_A_ROW, free_bytes()
    if needed > free:
        raise DataError(
            f"{name}: {rows:,} rows take about {needed / 1e9:.1f} GB of memory and "
            f"{free / 1e9:.1f} GB are free; give a shorter period, or use a larger machine"
        )


def free_bytes() -> int:
    """The free memory of the machine, or of the container's limit if that is less."""
    import psutil  # late: it is installed with the training extra, which a worker lacks

    free = int(psutil.virtual_memory().available)
    try:
        limit = LIMIT.read_text().strip()
        return free if limit == "max" else min(free, int(limit) - int(USED.read_text()))
    except OSError:  # not Linux, or no cgroup limits
        return free
