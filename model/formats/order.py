"""The order of time: sorts more events than fit into memory, on disk."""

import heapq
from collections.abc import Iterable, Iterator
from itertools import islice
from operator import itemgetter
from pathlib import Path

import orjson

from model.formats.table import Event

RUN_EVENTS = 200_000
MAX_RUNS = 200  # files open at a time, well below what systems allow

_ts = itemgetter("ts")


def in_time_order(
    events: Iterable[Event], folder: Path, run_events: int = RUN_EVENTS, max_runs: int = MAX_RUNS
) -> Iterator[Event]:
    """The events by ``ts``; those of the same time keep their order.

    At most ``run_events`` are held at a time; sorted runs of them go to files in ``folder``,
    and a run that begins where the one before ended goes on in its file.
    """
    rest = iter(events)
    runs: list[Path] = []
    last_ts = None
    while run := sorted(islice(rest, run_events), key=_ts):
        if not runs and len(run) < run_events:
            yield from run
            return
        if last_ts is None or run[0]["ts"] < last_ts:
            if len(runs) == max_runs:
                runs = [_merged(runs, folder)]
            runs.append(folder / f"{len(runs)}.run")
        _append(run, runs[-1])
        last_ts = run[-1]["ts"]
    yield from heapq.merge(*map(_read, runs), key=_ts)


def _merged(runs: list[Path], folder: Path) -> Path:
    merged = folder / "merged"
    _append(heapq.merge(*map(_read, runs), key=_ts), merged)
    for run in runs:
        run.unlink()
    return merged.rename(runs[0])


def _append(events: Iterable[Event], path: Path) -> None:
    with path.open("ab") as file:
        for event in events:
            file.write(orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE))


def _read(path: Path) -> Iterator[Event]:
    with path.open("rb") as lines:
        yield from map(orjson.loads, lines)
