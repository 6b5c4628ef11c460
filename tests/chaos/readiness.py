"""The readiness watch: asks every 200 ms, and remembers what was said and when."""

import threading
import time
from typing import NamedTuple

from tests.kafka.worker import Worker

EVERY_S = 0.2


class Sample(NamedTuple):
    """One answer of /readyz: True, False, or None for none at all."""

    at_s: float
    ready: bool | None


class Readiness:
    """Watches one worker process, in a thread, until it is closed."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._stop = threading.Event()
        self.samples: list[Sample] = []
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.wait(EVERY_S):
            status = self._worker.status("/readyz")
            ready = None if status is None else status == 200
            self.samples.append(Sample(time.monotonic(), ready))

    def close(self) -> None:
        """Watch no longer."""
        self._stop.set()
        self._thread.join(5)

    def ready_between(self, start_s: float, end_s: float) -> int:
        """How many samples of this span said ready."""
        return sum(s.ready is True for s in self.samples if start_s <= s.at_s <= end_s)

    def first_ready(self, start_s: float) -> float | None:
        """When it said ready for the first time from then on."""
        return next((s.at_s for s in self.samples if s.at_s >= start_s and s.ready), None)
