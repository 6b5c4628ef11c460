"""Termination: a signal ends a command as an exception does, so that it cleans up on its way out.

SIGTERM comes from whoever manages processes, SIGHUP from a terminal that is closed.
"""

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

from model.scratch import remove_unfinished

SIGNALS = (signal.SIGTERM, signal.SIGHUP)
GRACE_S = 8.0  # Docker kills after 10


def exit_code(number: int) -> int:
    """As of a process that the signal ended at once."""
    return 128 + number


class Terminated(SystemExit):
    """One of ``SIGNALS`` came; raised in the main thread, wherever it is."""

    def __init__(self, number: int) -> None:
        super().__init__(exit_code(number))


@contextmanager
def unwinding_on_signals() -> Iterator[None]:
    """Within the block, each of ``SIGNALS`` raises ``Terminated``; one that `nohup` ignores, none.

    A library may be in native code for minutes, where no exception can be raised, or lose the
    exception, or leave a thread that does not end. So ``GRACE_S`` after the signal the process
    ends in any case, and what it has not finished is removed.
    """
    # Python's handler runs in the main thread between two of its instructions; the byte comes at
    # once.
    arrived, arriving = os.pipe()
    os.set_blocking(arriving, False)
    before = {number: signal.getsignal(number) for number in SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _raise)
    signal.set_wakeup_fd(arriving, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(arrived,), name="termination", daemon=True).start()
    try:
        yield
    except Terminated:
        remove_unfinished()  # of a block that the signal met before it was entered
        raise  # the process ends, and the watch goes on until it has
    except BaseException:
        _stop_watching(arriving, before)
        raise
    else:
        _stop_watching(arriving, before)


def _stop_watching(arriving: int, before: Mapping[signal.Signals, Any]) -> None:
    signal.set_wakeup_fd(-1)
    for number, handler in before.items():
        signal.signal(number, handler)
    os.close(arriving)


def _raise(number: int, _: object) -> NoReturn:
    for further in SIGNALS:  # must not interrupt the cleaning
        signal.signal(further, signal.SIG_IGN)
    _say(number)
    raise Terminated(number)


def _say(number: int) -> None:
    # A print may be what the signal interrupts. A terminal that is closed takes nothing more.
    with suppress(OSError):
        os.write(2, f"lately: stopped by {signal.Signals(number).name}\n".encode())


def _watch(arrived: int) -> None:
    while signals := os.read(arrived, 64):
        for number in (number for number in signals if number in SIGNALS):
            time.sleep(GRACE_S)
            remove_unfinished()
            if signal.getsignal(number) is _raise:  # it never came to run
                _say(number)
            os._exit(exit_code(number))
    os.close(arrived)
