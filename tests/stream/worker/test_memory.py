"""The heap keeps to two arenas, and what it has free goes back to the system."""

import ctypes
import gc
import subprocess
import sys
import threading
import weakref
from pathlib import Path

import psutil
import pytest

from stream.worker.memory import collect_cycles, limit_arenas, trim

MB = 1_000_000
needs_glibc = pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_info"), reason="needs glibc"
)
# Sixteen threads that live side by side, and each takes a block from the C library: too large for
# Python's own pools, too small to be mapped. Then glibc says how many arenas it has made.
SIXTEEN_THREADS = """
import ctypes, sys, threading
from stream.worker.memory import limit_arenas

if sys.argv[1] == "settled":
    assert limit_arenas()
libc, together = ctypes.CDLL(None), threading.Barrier(16)
libc.fopen.restype = ctypes.c_void_p

def live():
    together.wait()
    block = bytearray(50_000)
    together.wait()

threads = [threading.Thread(target=live) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
stream = ctypes.c_void_p(libc.fopen(sys.argv[2].encode(), b"w"))
libc.malloc_info(0, stream)
libc.fclose(stream)
"""


def arenas(how: str, folder: Path) -> int:
    """How many a process has made (malloc_info(3)), in which so many threads took memory."""
    report = folder / how
    subprocess.run([sys.executable, "-c", SIXTEEN_THREADS, how, str(report)], check=True)
    return report.read_text().count("<heap nr=")


def rss_mb() -> float:
    return float(psutil.Process().memory_info().rss / MB)


@needs_glibc
def test_many_threads_share_two_arenas(tmp_path: Path) -> None:
    assert arenas("as it comes", tmp_path) > 2  # eight for each core, if as many threads are there
    assert arenas("settled", tmp_path) == 2


@needs_glibc
def test_what_a_thread_has_left_between_what_lives_is_given_back() -> None:
    kept = []

    def come_and_go() -> None:
        blocks = [bytearray(50_000) for _ in range(4_000)]  # 200 MB, each too small to be mapped
        kept.extend(blocks[::100])

    thread = threading.Thread(target=come_and_go)
    thread.start()
    thread.join()
    before = rss_mb()

    assert trim()
    assert before - rss_mb() > 100


class Node:
    """What refers to itself, as a client and its tasks do."""

    def __init__(self) -> None:
        self.itself = self


def test_what_is_in_cycles_is_found_at_once() -> None:
    gc.disable()  # so that nothing else finds it
    try:
        gone = weakref.ref(Node())
        assert gone() is not None

        collect_cycles()

        assert gone() is None
    finally:
        gc.enable()


def test_where_the_c_library_cannot_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())

    assert not trim()
    assert not limit_arenas()
