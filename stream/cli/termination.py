"""Termination: SIGTERM ends a command as an exception does, so that it cleans up on its way out."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from model.scratch import remove_unfinished

EXIT_CODE = 128 + signal.SIGTERM  # as of a process that the signal ended at once
GRACE_S = 8.0  # Docker kills after 10
LINE = b"lately: stopped by SIGTERM\n"


class Terminated(SystemExit):
    """SIGTERM came; raised in the main thread, wherever it is."""

    def __init__(self) -> None:
        super().__init__(EXIT_CODE)


@contextmanager
def unwinding_on_sigterm() -> Iterator[None]:
    """Within the block, SIGTERM raises ``Terminated``.

    A library may be in native code for minutes, where no exception can be raised, or lose the
    exception, or leave a thread that does not end. So ``GRACE_S`` after the signal the process
    ends in any case, and what it has not finished is removed.
    """
    # Python's handler runs in the main thread between two of its instructions; the byte comes at
    # once.
    arrived, arriving = os.pipe()
    os.set_blocking(arriving, False)
    before = signal.signal(signal.SIGTERM, _raise)
    signal.set_wakeup_fd(arriving, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(arrived,), name="termination", daemon=True).start()
    try:
        yield
    except Terminated:
        raise  # the process ends, and the watch goes on until it has
    except BaseException:
        _stop_watching(arriving, before)
        raise
    else:
        _stop_watching(arriving, before)


def _stop_watching(arriving: int, before: object) -> None:
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGTERM, before)  # type: ignore[arg-type]
    os.close(arriving)


def _raise(*_: object) -> NoReturn:
    # A second one must not interrupt the cleaning.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _say()
    raise Terminated


def _say() -> None:
    os.write(2, LINE)  # a print may be what the signal interrupts


def _watch(arrived: int) -> None:
    while signals := os.read(arrived, 64):
        if signal.SIGTERM in signals:
            time.sleep(GRACE_S)
            remove_unfinished()
            if signal.getsignal(signal.SIGTERM) is _raise:  # it never came to run
                _say()
            os._exit(EXIT_CODE)
    os.close(arrived)
