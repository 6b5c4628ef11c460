"""The external sort: sorts more timed entries than fit into memory, by way of the disk."""

import heapq
import struct
from collections.abc import Iterable, Iterator
from operator import itemgetter
from pathlib import Path

Entry = tuple[int, bytes]  # the time in milliseconds (64 bits) and any content

RUN_BYTES = 64 << 20
MAX_RUNS = 200  # files open at a time, well below the limits of operating systems
_ENTRY_BYTES = 100  # memory that an entry takes besides its content
_HEAD = struct.Struct("<qI")  # time, length of the content

_time = itemgetter(0)


def in_time_order(
    entries: Iterable[Entry],
    folder: Path,
    *,
    run_bytes: int = RUN_BYTES,
    max_runs: int = MAX_RUNS,
) -> Iterator[Entry]:
    """The entries sorted by time; those of the same time keep their order.

    About ``run_bytes`` of them are in memory at a time. If there are more, sorted runs go to
    files in ``folder``, which the caller removes; a run that begins no earlier than the previous
    one ended is appended to its file.
    """
    runs: list[Path] = []
    last_ms = None
    for run, is_only in _runs(entries, run_bytes):
        if is_only:
            yield from run
            return
        if last_ms is None or run[0][0] < last_ms:
            if len(runs) == max_runs:
                runs = [_merged(runs, folder)]
            runs.append(folder / f"{len(runs)}.run")
        _append(run, runs[-1])
        last_ms = run[-1][0]
    yield from _merge(runs)


def _runs(entries: Iterable[Entry], run_bytes: int) -> Iterator[tuple[list[Entry], bool]]:
    """Sorted lists of entries, and whether the list holds all of them."""
    run: list[Entry] = []
    taken_bytes, is_first = 0, True
    for entry in entries:
        if taken_bytes >= run_bytes:
            yield sorted(run, key=_time), False
            run, taken_bytes, is_first = [], 0, False
        run.append(entry)
        taken_bytes += _ENTRY_BYTES + len(entry[1])
    yield sorted(run, key=_time), is_first


def _merge(runs: list[Path]) -> Iterator[Entry]:
    return heapq.merge(*map(_read, runs), key=_time)


def _merged(runs: list[Path], folder: Path) -> Path:
    merged = folder / "merged"
    _append(_merge(runs), merged)
    for run in runs:
        run.unlink()
    return merged.rename(runs[0])


def _append(entries: Iterable[Entry], path: Path) -> None:
    with path.open("ab") as file:
        for time_ms, content in entries:
            file.write(_HEAD.pack(time_ms, len(content)))
            file.write(content)


def _read(path: Path) -> Iterator[Entry]:
    with path.open("rb") as file:
        while head := file.read(_HEAD.size):
            time_ms, size = _HEAD.unpack(head)
            yield time_ms, file.read(size)
