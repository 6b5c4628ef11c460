"""What the workers left on disk (O6): of each user the state that the changelog ends with."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import rocksdict

from tests.oracle.evidence import Evidence

USER, OFFSET = b"u", b"mchangelog_offset"

Users = dict[bytes, bytes]


def disk_differences(directories: Iterable[Path], evidence: Evidence) -> tuple[int, str]:
    """How many users differ, and the first of them.

    A partition may lie in several directories: the one that has come furthest is its owner's.
    """
    expected = _changelog(evidence)
    found: dict[int, tuple[int, Users]] = {}
    for directory in directories:
        for folder in sorted(directory.glob("*/partition-*")):
            number = int(folder.name.rpartition("-")[2])
            offset, users = _read(folder)
            if offset > found.get(number, (-1, {}))[0]:
                found[number] = offset, users
    wrong = [
        f"partition {number}, user {key!r}"
        for number, wanted in expected.items()
        for key in wanted.keys() | found.get(number, (-1, {}))[1].keys()
        if wanted.get(key) != found.get(number, (-1, {}))[1].get(key)
    ]
    return len(wrong), f"users differ on disk, {wrong[0]} first" if wrong else ""


def _changelog(evidence: Evidence) -> dict[int, Users]:
    states: dict[int, Users] = {}
    for record in evidence.changelog:
        assert record.key is not None, "the oracle has looked at it"
        users = states.setdefault(record.partition, {})
        if record.value is None:
            users.pop(record.key, None)
        else:
            users[record.key] = record.value
    return states


def _read(folder: Path) -> tuple[int, Users]:
    database = rocksdict.Rdict(
        str(folder),
        rocksdict.Options(raw_mode=True),
        access_type=rocksdict.AccessType.read_only(),
    )
    try:
        offset: Any = database.get(OFFSET)
        pairs: Any = database.items()
        users = {key[1:]: value for key, value in pairs if key.startswith(USER)}
    finally:
        database.close()
    return -1 if offset is None else int(offset), users
