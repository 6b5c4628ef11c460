"""The vitals: memory, file descriptors and threads of a process for as long as it lives."""

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from statistics import median
from typing import NamedTuple

import psutil

EVERY_S = 2.0
WINDOW_S = 300.0


class Vital(NamedTuple):
    """One look at a process.

    RocksDB keeps six files of a partition open, and its tables: ``store`` counts them, which come
    and go with the partitions; ``descriptors`` are the others.
    """

    at_s: float
    rss_bytes: int
    descriptors: int
    threads: int
    store: int


class Vitals:
    """Looks at one process, in a thread, until it is closed or the process is gone.

    ``state_dir`` is where its store is.
    """

    def __init__(self, pid: int, state_dir: Path) -> None:
        self._process = psutil.Process(pid)
        self._state_dir = f"{state_dir}{os.sep}"
        self._stop = threading.Event()
        self.samples: list[Vital] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.samples.append(self._look())
            except (psutil.Error, OSError):
                return
            if not self.samples[-1].rss_bytes:  # ended, and nobody has asked for its code yet
                self.samples.pop()
                return

    def close(self) -> None:
        """Look no longer."""
        self._stop.set()
        self._thread.join(5)

    def _look(self) -> Vital:
        with self._process.oneshot():
            rss_bytes, threads = self._process.memory_info().rss, self._process.num_threads()
        opened = list(_opened(self._process.pid))
        store = sum(name.startswith(self._state_dir) for name in opened)
        return Vital(time.monotonic(), rss_bytes, len(opened) - store, threads, store)


def _opened(pid: int) -> Iterator[str]:
    """What the descriptors of a process stand for; a file by its path."""
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            yield str(descriptor.readlink())


class Trend(NamedTuple):
    """How a process fared after its warm-up."""

    minutes: float
    rss_mb: float  # in the end, 10^6 bytes
    rss_mb_per_min: float
    descriptors_per_hour: float
    threads_per_hour: float
    store: int  # in the end


def trend(samples: Sequence[Vital], warm_up_s: float) -> Trend | None:
    """Lines of least squares through what came after the warm-up; None where too little did.

    Connections come and go with every fault, so of descriptors and threads the median of each five
    minutes counts: what leaks is there for good.
    """
    start_s = samples[0].at_s + warm_up_s if samples else 0.0
    warm = [sample for sample in samples if sample.at_s >= start_s]
    windows = [list(group) for _, group in groupby(warm, lambda s: (s.at_s - start_s) // WINDOW_S)]
    if len(windows) < 2:
        return None
    minutes = [(sample.at_s - start_s) / 60 for sample in warm]
    starts = [(window[0].at_s - start_s) / 60 for window in windows]
    return Trend(
        minutes[-1] - minutes[0],
        warm[-1].rss_bytes / 1e6,
        slope(minutes, [sample.rss_bytes / 1e6 for sample in warm]),
        slope(starts, [median(s.descriptors for s in window) for window in windows]) * 60,
        slope(starts, [median(s.threads for s in window) for window in windows]) * 60,
        warm[-1].store,
    )


def slope(at: Sequence[float], values: Sequence[float]) -> float:
    """Of the line of least squares through these points."""
    mean_at, mean = sum(at) / len(at), sum(values) / len(values)
    spread = sum((x - mean_at) ** 2 for x in at)
    return sum((x - mean_at) * (y - mean) for x, y in zip(at, values, strict=True)) / spread
