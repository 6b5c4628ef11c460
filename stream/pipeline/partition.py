"""One partition in memory: its users, how far it was read, and what is not yet safe."""

import math
from collections.abc import Iterable
from itertools import takewhile

from stream.events import DeadLetter
from stream.pipeline.users.forget import Forget
from stream.pipeline.users.users import Users


class Partition:
    """What is read of a partition and not yet safe.

    ``forgets`` are the ``forget`` events that were applied to waiting users, by key: each needs a
    receipt. ``markers`` are the forgotten users: key → offset of the ``forget``. Once that offset
    is committed, no replay can bring the user back; the marker then moves to ``passed``, with the
    time of that commit, earliest first. It stays there for a while, because a record of a fenced
    worker could still bring the user back, and is then deleted. Times are the pipeline's clock, in
    seconds. ``gaps`` are the offsets that no record came for, from the first to before the last:
    control records of transactions, or records deleted before they were read.
    """

    def __init__(
        self, number: int, users: Users, markers: Iterable[bytes], next_offset: int = -1
    ) -> None:
        self.number = number
        self.users = users
        self.next_offset = next_offset  # of the source: all below is read; -1: that is unknown
        self.last_read_ms = -1  # record timestamp of the last message read; -1: unknown
        self.gaps: list[tuple[int, int]] = []
        self.dead: list[DeadLetter] = []
        self.forgets: dict[bytes, list[Forget]] = {}
        self.markers = {key: users.state(key).applied_offset for key in markers}
        self.passed: dict[bytes, float] = {}
        self.expiring: dict[bytes, int] = {}  # key → event time before which the user has expired
        self._expired: set[bytes] = set()  # deleted, and in the cache until that is on disk
        self._committed = -1

    @property
    def oldest_unsafe(self) -> int:
        """The offset of the first waiting dead letter, else of the next message to read."""
        return self.dead[0].message.offset if self.dead else self.next_offset

    def take_gaps(self) -> list[tuple[int, int]]:
        """The gaps since the last call."""
        gaps, self.gaps = self.gaps, []
        return gaps

    def take_forgets(self) -> list[Forget]:
        """The forgets of users who were taken for a batch, and so wait no more."""
        taken = [key for key in self.forgets if not self.users.is_waiting(key)]
        return [forget for key in taken for forget in self.forgets.pop(key)]

    def mark_committed(self, offset: int, now_s: float) -> None:
        """Everything below this offset is committed."""
        self._committed = max(self._committed, offset)
        for key in [key for key, marker in self.markers.items() if marker < offset]:
            del self.markers[key]
            self.passed.pop(key, None)
            self.passed[key] = now_s

    def has_expired_markers(self, before_s: float) -> bool:
        """Whether the commit of some forget marker is so long ago that it may be deleted."""
        return next(iter(self.passed.values()), math.inf) <= before_s

    def expired_markers(self, before_s: float) -> dict[bytes, int]:
        """Take the forget markers to delete, with the offset of their ``forget``.

        Only of users who are still forgotten, were not forgotten again, and are not busy.
        """
        expired = {}
        for key in list(takewhile(lambda key: self.passed[key] <= before_s, self.passed)):
            if self.users.is_busy(key):
                continue
            del self.passed[key]
            state = self.users.state(key)
            if state.forgotten and key not in self.markers:
                self.users.drop(key)
                expired[key] = state.applied_offset
        return expired

    def expired_users(self) -> dict[bytes, int]:
        """Take the users to delete whose time to live is over, with their applied offsets.

        Only users who have not come back since, are not busy, and whose last event is committed: a
        replay of it would bring them back.
        """
        for key in [key for key in self._expired if not self.users.is_busy(key)]:
            self._expired.discard(key)
            if not self.users.state(key).items:
                self.users.drop(key)
        expiring, self.expiring = self.expiring, {}
        expired = {}
        for key, before_ms in expiring.items():
            if self.users.is_busy(key):
                continue
            state = self.users.state(key)
            if state.items and state.last_seen_ms < before_ms:
                if state.applied_offset < self._committed:
                    self.users.expire(key)
                    expired[key] = state.applied_offset
            elif not state.items and not state.forgotten:
                self.users.drop(key)  # deleted meanwhile
        self._expired |= expired.keys()
        return expired
