"""The memory: what a log takes to be cleaned and counted, and how much of it is free."""

from pathlib import Path

from model.errors import DataError

# Measured: 2 million rows of 69 bytes took 0.9 GB beyond the libraries, to clean them, read them
# into columns and count what goes together.
BYTES_A_ROW = 450
LIMIT, USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def refuse_beyond_memory(name: str, rows: int) -> None:
    """Raise ``DataError`` for a log that would have the system end this process half way."""
    needed, free = rows * BYTES_A_ROW, free_bytes()
    if needed > free:
        raise DataError(
            f"{name}: {rows:,} rows take about {needed / 1e9:.1f} GB of memory and "
            f"{free / 1e9:.1f} GB are free; give a shorter period, or use a larger machine"
        )


def free_bytes() -> int:
    """What the machine can still give, or what a container's limit leaves, if that is less."""
    import psutil  # late: it comes with the training, and a worker has none

    free = int(psutil.virtual_memory().available)
    try:
        limit = LIMIT.read_text().strip()
        return free if limit == "max" else min(free, int(limit) - int(USED.read_text()))
    except OSError:  # no Linux, or no limits of this kind
        return free
