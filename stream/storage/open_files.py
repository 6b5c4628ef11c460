"""Open files: how many this process may have, and how many of them each partition's tables get."""

import resource
from contextlib import suppress
from typing import NamedTuple

from stream.errors import StateError

RESERVED = 256  # for libraries, connections, the model, and RocksDB's own files beside its tables
LEAST, MOST = 20, 256  # of one partition; RocksDB itself uses no fewer than 20
_NO_LIMIT = 10_240  # what macOS takes in place of its "unlimited"
ADVICE = "raise the limit of open files: `ulimit -n 65536`, or LimitNOFILE= of a systemd unit"


class Limits(NamedTuple):
    """How many files a process may open."""

    soft: int  # as it was started
    most: int  # to which a worker raises it


def files_per_partition(partitions: int) -> int:
    """How many files the tables of one partition may have open, if one worker has all partitions.

    Raises this process's limit as far as it may. Raises StateError if that is not enough.
    """
    limit = _raise_limit()
    share = (limit - RESERVED) // max(1, partitions)
    if share < LEAST:
        raise StateError(
            f"this process may open {limit} files, and {partitions} partitions need "
            f"{needed(partitions)}; {ADVICE}"
        )
    return min(share, MOST)


def needed(partitions: int) -> int:
    """How many files a worker with this many partitions must be able to open."""
    return RESERVED + LEAST * max(1, partitions)


def limits() -> Limits:
    """This process's limits, as the operating system has them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _NO_LIMIT if hard == resource.RLIM_INFINITY else hard
    soft = most if soft == resource.RLIM_INFINITY else soft
    return Limits(soft, max(soft, most))


def _raise_limit() -> int:
    soft, most = limits()
    if soft < most:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
            return most
    return soft
