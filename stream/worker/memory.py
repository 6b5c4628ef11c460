"""Memory: limits glibc's arenas, and returns free heap memory to the system.

Messages and states are small and short-lived, on several threads. glibc keeps what they free in
each thread's arena; in an hour of rebalances and new models that came to 130 MB of 430.
"""

import ctypes
import gc
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_ARENAS = 2
_MAPPED_FROM_BYTES = 256 << 10
_KEPT_BYTES = 32 << 20  # free memory kept at the top of the heap


def limit_arenas() -> bool:
    """Limit the heap to a few arenas; returns whether that worked, which needs glibc.

    Call it before the process starts threads: glibc creates up to eight arenas per core, and
    allocates ever larger blocks in them, up to 32 MB (mallopt(3)), which leave holes when freed.
    """
    mallopt = _glibc_function("mallopt")
    options = {
        _M_ARENA_MAX: _ARENAS,
        _M_MMAP_THRESHOLD: _MAPPED_FROM_BYTES,
        _M_TRIM_THRESHOLD: _KEPT_BYTES,
    }
    return all(mallopt(option, value) for option, value in options.items())


def collect_cycles() -> None:
    """Collect garbage now; with our thresholds (`stream.worker.process`) Python does so in hours.

    Meant for the end of a rebalance, which leaves clients, records and users behind, while nothing
    is scored anyway: it takes some tens of milliseconds, more with many users in memory.
    """
    gc.collect()
    trim()


def trim() -> bool:
    """Return free heap memory to the system; returns whether any was, which needs glibc."""
    return bool(_glibc_function("malloc_trim")(0))


def _glibc_function(name: str) -> Callable[..., int]:
    """A function of glibc; with another C library, one that does nothing and returns 0."""
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return lambda *_: 0
    return function
