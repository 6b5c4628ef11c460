"""What the heap has free goes back to the system."""

import ctypes
import gc
import threading
import weakref

import psutil
import pytest

from stream.memory import sweep, trim

MB = 1_000_000


def rss_mb() -> float:
    return float(psutil.Process().memory_info().rss / MB)


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
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

        sweep()

        assert gone() is None
    finally:
        gc.enable()


def test_where_the_c_library_cannot_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())

    assert not trim()
