"""Progress of a long command: a bar on a terminal, elsewhere a plain line every ten seconds."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

LINE_EVERY_S = 10.0


class Update(Protocol):
    """Sets how much is done, and from then on what is being done, if that is given."""

    def __call__(self, done: int, what: str | None = None) -> None:
        """Show it."""
        ...


@contextmanager
def progress(
    what: str, total: int, clock: Callable[[], float] = time.monotonic
) -> Iterator[Update]:
    """Show on stderr how much of ``total`` is done; yields a function that sets it."""
    if sys.stderr.isatty():
        with _bar(what, total) as update:
            yield update
    else:
        yield _lines(what, total, clock)


def running_total(update: Callable[[int], None]) -> Callable[[int], None]:
    """A function that adds its argument to a total and passes the total to ``update``."""
    done = 0

    def add(more: int) -> None:
        nonlocal done
        done += more
        update(done)

    return add


@contextmanager
def _bar(what: str, total: int) -> Iterator[Update]:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)

        def update(done: int, what: str | None = None) -> None:
            bar.update(task, completed=done, description=what)

        yield update


def _lines(first: str, total: int, clock: Callable[[], float]) -> Update:
    next_line_s = clock() + LINE_EVERY_S
    shown = first

    def update(done: int, what: str | None = None) -> None:
        nonlocal next_line_s, shown
        now_s = clock()
        is_new = what is not None and what != shown
        if is_new or now_s >= next_line_s:
            shown = what or shown
            next_line_s = now_s + LINE_EVERY_S
            # What was expected is an estimate; more than all of it is never done.
            share = min(done / max(total, 1), 1.0)
            print(f"{shown}: {share:.0%}", file=sys.stderr, flush=True)

    return update
