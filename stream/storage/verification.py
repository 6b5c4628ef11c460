"""The verification of a partition: what its disk must hold by its changelog, and what it holds."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, ClassVar

from stream.storage.applied_offset import applied_offset_of_state

_DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Row:
    """What was found of one partition; users are counted, never named."""

    HEAD: ClassVar[str] = (
        f"{'partition':>9} {'offset':>12} {'end':>12} {'equal':>12} {'differ':>9} {'missing':>9} "
        f"{'extra':>9} {'untold':>9}  verdict"
    )

    partition: int
    offset: int | None = None  # of the changelog, up to which the disk goes; None: it is empty
    end: int = 0
    equal: int = 0
    differ: int = 0
    missing: int = 0
    extra: int = 0
    untold: int = 0  # the changelog has a later value only, so an older one cannot be compared
    damage: str = ""

    @property
    def ahead(self) -> bool:
        """Whether the disk goes further than the changelog: that was cut, or made anew."""
        return self.offset is not None and self.offset >= self.end

    @property
    def fits(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.differ or self.missing or self.extra or self.damage or self.ahead)

    def line(self) -> str:
        """One row of the table."""
        if self.damage:
            return f"{self.partition:>9} damaged: {self.damage}"
        verdict = "fits" if self.fits else "ahead of its changelog" if self.ahead else "differs"
        offset = "–" if self.offset is None else f"{self.offset}"
        return (
            f"{self.partition:>9} {offset:>12} {self.end:>12} {self.equal:>12} {self.differ:>9} "
            f"{self.missing:>9} {self.extra:>9} {self.untold:>9}  {verdict}"
        )

    def as_dict(self) -> dict[str, Any]:
        """The fields and the verdict, for JSON."""
        return {**asdict(self), "ahead": self.ahead, "fits": self.fits}


class Verification:
    """Takes a changelog in offset order, then the users on disk.

    Keeps a digest of each user's value, not the value. What the changelog has behind the disk's own
    offset does not count, but for this: compaction may have removed an older value because of it.
    """

    def __init__(self, partition: int, offset: int | None) -> None:
        self._partition = partition
        self._offset = offset
        self._expected: dict[bytes, bytes | None] = {}
        self._applied: dict[bytes, int] = {}
        self._later: set[bytes] = set()

    def add(
        self,
        offset: int,
        key: bytes,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes | None]],
    ) -> None:
        """One record of the changelog; one that came too late does not count, as at a rebuild."""
        if self._offset is None or offset > self._offset:
            self._later.add(key)
            return
        offset_applied, known = applied_offset_of_state(value, headers), self._applied.get(key, -1)
        if offset_applied is None or offset_applied >= known:
            self._applied[key] = known if offset_applied is None else offset_applied
            self._expected[key] = None if value is None else _digest(value)

    def compare(self, users: Iterable[tuple[bytes, bytes]], end: int) -> Row:
        """What the disk has against what it must have; ``end`` is the changelog's."""
        equal = differ = extra = untold = 0
        for key, value in users:
            if key not in self._expected:
                untold += key in self._later
                extra += key not in self._later
                continue
            expected = self._expected.pop(key)
            equal += expected == _digest(value)
            extra += expected is None
            differ += expected not in (None, _digest(value))
        missing = sum(expected is not None for expected in self._expected.values())
        return Row(self._partition, self._offset, end, equal, differ, missing, extra, untold)


def _digest(value: bytes) -> bytes:
    return blake2b(value, digest_size=_DIGEST_BYTES).digest()
