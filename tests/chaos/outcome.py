"""The outcome of a soak: what its hour came to, in words, as JSON, and drawn."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from model.evaluation.plots import BLUE, GREY, ORANGE, STYLE
from tests.chaos.result import CHECKS
from tests.chaos.vitals import Trend, Vital, trend

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RSS_MB_PER_MIN = 1.0
PER_HOUR = 3.0  # descriptors and threads: one or two more in the end are no leak
WIDTH_INCHES, HEIGHT_INCHES = 8.4, 4.6


class Outcome(NamedTuple):
    """What an hour came to; ``samples`` are of the longest life of the worker that must live."""

    seed: int
    minutes: float
    events: int
    faults: dict[str, int]
    differences: dict[str, int]
    first: str
    lives: int  # 1 unless that worker ended by itself
    warm_up_s: float
    samples: list[Vital]

    @property
    def trend(self) -> Trend | None:
        """How that worker fared after its warm-up; None if it did not live long enough."""
        return trend(self.samples, self.warm_up_s)

    @property
    def failures(self) -> list[str]:
        """What is not as promised, a line each."""
        found = self.trend
        wrong = [f"{check}: {n} differences" for check, n in self.differences.items() if n]
        if found is None:
            return [*wrong, "no worker lived long enough to see a trend"]
        if found.rss_mb_per_min >= RSS_MB_PER_MIN:
            wrong.append(f"memory grows by {found.rss_mb_per_min:.2f} MB a minute")
        if found.descriptors_per_hour >= PER_HOUR:
            wrong.append(f"{found.descriptors_per_hour:.1f} descriptors an hour more")
        if found.threads_per_hour >= PER_HOUR:
            wrong.append(f"{found.threads_per_hour:.1f} threads an hour more")
        return wrong

    def rows(self) -> Iterator[tuple[str, str]]:
        """What there is to say, a name and a text each."""
        found = self.trend
        yield "minutes of faults", f"{self.minutes:g} (seed {self.seed})"
        yield "events", f"{self.events:,}"
        yield "faults", ", ".join(f"{name} {n}" for name, n in sorted(self.faults.items()))
        counts = (f"{check} {self.differences.get(check, 0)}" for check in CHECKS if check != "O8")
        yield "differences", ", ".join(counts)
        yield "lives of worker a", f"{self.lives}"
        if found is not None:
            yield "watched after warm-up", f"{found.minutes:.1f} minutes"
            yield "resident memory in the end", f"{found.rss_mb:.0f} MB"
            yield "its slope", f"{found.rss_mb_per_min:+.2f} MB a minute"
            yield "slope of descriptors", f"{found.descriptors_per_hour:+.1f} an hour"
            yield "RocksDB's files besides", f"{found.store} in the end"
            yield "slope of threads", f"{found.threads_per_hour:+.1f} an hour"

    def describe(self) -> str:
        """For a terminal."""
        lines = [f"{name:<28} {text}" for name, text in self.rows()]
        return "\n".join([*lines, *([self.first] if self.first else [])])

    def to_json(self) -> str:
        """As a JSON object in one line."""
        return json.dumps(self._asdict())

    def figure(self) -> "Figure":
        """Memory above, descriptors and threads below, over the minutes of the worker's life."""
        from matplotlib import rc_context
        from matplotlib.figure import Figure

        start_s = self.samples[0].at_s
        minutes = [(sample.at_s - start_s) / 60 for sample in self.samples]
        with rc_context(STYLE):
            figure = Figure(figsize=(WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
            above, below = figure.subplots(2, 1, sharex=True)
            above.plot(minutes, [s.rss_bytes / 1e6 for s in self.samples], color=BLUE)
            above.set(title="Resident memory of the worker that lives", ylabel="MB", ylim=(0, None))
            for name, values, color in (
                ("file descriptors", [s.descriptors for s in self.samples], ORANGE),
                ("threads", [s.threads for s in self.samples], BLUE),
                ("files of RocksDB", [s.store for s in self.samples], GREY),
            ):
                below.plot(minutes, values, color=color, label=name, linewidth=1.0)
            below.set(xlabel="minutes", ylabel="open", ylim=(0, None))
            below.legend(loc="upper right")
            for axes in (above, below):
                axes.axvspan(0, self.warm_up_s / 60, color=GREY, alpha=0.12)
        return figure


def read_outcome(path: Path) -> Outcome:
    """The last one in a file."""
    fields = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])
    samples = [Vital(*sample) for sample in fields.pop("samples")]
    return Outcome(**fields, samples=samples)
