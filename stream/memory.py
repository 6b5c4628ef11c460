"""Memory: gives back to the system what is free in our heap.

Messages and states are small, and come and go on several threads. glibc keeps what they leave in
each thread's arena; in an hour of rebalances and new models that came to 130 MB of 430.
"""

import ctypes
import gc


def sweep() -> None:
    """Find what is in cycles, now: at our thresholds (`stream.process`) Python looks in hours.

    For after a rebalance, which leaves clients, records and users behind, and while nothing is
    scored anyway: it takes some tens of milliseconds, more with many users in memory.
    """
    gc.collect()
    trim()


def trim() -> bool:
    """Whether anything was given back; where the C library is not glibc, nothing is."""
    try:
        malloc_trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return False
    return bool(malloc_trim(0))
