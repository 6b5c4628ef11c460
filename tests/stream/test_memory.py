"""What the heap has free goes back to the system."""

import ctypes
import threading

import psutil
import pytest

from stream.memory import trim

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


def test_where_the_c_library_cannot_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())

    assert not trim()
