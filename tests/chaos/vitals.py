"""The vitals: memory, file descriptors and threads of a process for as long as it lives."""

import threading
import time
from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

import psutil

EVERY_S = 2.0
FLOOR_S = 300.0


TABLE = ".sst"


class Vital(NamedTuple):
    """One look at a process.

    RocksDB keeps its table files open, and has more of them as it holds more: they are counted
    apart, ``descriptors`` are the others.
    """

    at_s: float
    rss_bytes: int
    descriptors: int
    threads: int
    tables: int


class Vitals:
    """Looks at one process, in a thread, until it is closed or the process is gone."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)
        self._stop = threading.Event()
        self.samples: list[Vital] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            try:
                self.samples.append(_look(self._process))
            except psutil.Error:
                return
            if not self.samples[-1].rss_bytes:  # ended, and nobody has asked for its code yet
                self.samples.pop()
                return

    def close(self) -> None:
        """Look no longer."""
        self._stop.set()
        self._thread.join(5)


def _look(process: psutil.Process) -> Vital:
    with process.oneshot():
        tables = sum(file.path.endswith(TABLE) for file in process.open_files())
        return Vital(
            time.monotonic(),
            process.memory_info().rss,
            process.num_fds() - tables,
            process.num_threads(),
            tables,
        )


class Trend(NamedTuple):
    """How a process fared after its warm-up."""

    minutes: float
    rss_mb: float  # in the end, 10^6 bytes
    rss_mb_per_min: float
    descriptors_per_hour: float
    threads_per_hour: float
    tables: int  # in the end


def trend(samples: Sequence[Vital], warm_up_s: float) -> Trend | None:
    """Lines of least squares through what came after the warm-up; None where too little did.

    Files and connections come and go with every fault, so of descriptors and threads the least of
    each five minutes counts: what leaks is never given back.
    """
    start_s = samples[0].at_s + warm_up_s if samples else 0.0
    warm = [sample for sample in samples if sample.at_s >= start_s]
    windows = [list(group) for _, group in groupby(warm, lambda s: (s.at_s - start_s) // FLOOR_S)]
    if len(windows) < 2:
        return None
    minutes = [(sample.at_s - start_s) / 60 for sample in warm]
    starts = [(window[0].at_s - start_s) / 60 for window in windows]
    return Trend(
        minutes[-1] - minutes[0],
        warm[-1].rss_bytes / 1e6,
        slope(minutes, [sample.rss_bytes / 1e6 for sample in warm]),
        slope(starts, [min(s.descriptors for s in window) for window in windows]) * 60,
        slope(starts, [min(s.threads for s in window) for window in windows]) * 60,
        warm[-1].tables,
    )


def slope(at: Sequence[float], values: Sequence[float]) -> float:
    """Of the line of least squares through these points."""
    mean_at, mean = sum(at) / len(at), sum(values) / len(values)
    spread = sum((x - mean_at) ** 2 for x in at)
    return sum((x - mean_at) * (y - mean) for x, y in zip(at, values, strict=True)) / spread
