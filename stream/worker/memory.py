"""Memory: keeps our heap in few arenas, and gives back to the system what is free in it.

Messages and states are small, and come and go on several threads. glibc keeps what they leave in
each thread's arena; in an hour of rebalances and new models that came to 130 MB of 430.
"""

import ctypes
import gc
from collections.abc import Callable

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # of glibc's malloc.h
_ARENAS = 2
_MAPPED_FROM_BYTES = 256 << 10
_KEPT_BYTES = 32 << 20  # at the top of the heap; given back at every free beyond it


def settle() -> bool:
    """Whether the heap keeps to a few arenas; where the C library is not glibc, it does not.

    For the begin of the process, before its threads: glibc makes up to eight arenas for each core,
    and takes ever larger blocks from them, up to 32 MB (mallopt(3)), which leave holes behind.
    """
    mallopt = _of_glibc("mallopt")
    options = {
        _M_ARENA_MAX: _ARENAS,
        _M_MMAP_THRESHOLD: _MAPPED_FROM_BYTES,
        _M_TRIM_THRESHOLD: _KEPT_BYTES,
    }
    return all(mallopt(option, value) for option, value in options.items())


def sweep() -> None:
    """Collect reference cycles now: at our thresholds (`stream.worker.process`) it takes hours.

    For after a rebalance, which leaves clients, records and users behind, and while nothing is
    scored anyway: it takes some tens of milliseconds, more with many users in memory.
    """
    gc.collect()
    trim()


def trim() -> bool:
    """Whether anything was given back; where the C library is not glibc, nothing is."""
    return bool(_of_glibc("malloc_trim")(0))


def _of_glibc(name: str) -> Callable[..., int]:
    """A function of glibc's; where the C library is another, one that does nothing and says 0."""
    try:
        function: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return lambda *_: 0
    return function
